import { Component } from "react";

type Props = { parcel: string; fetch?: (parcel: string) => Promise<[number, number]> };

/** `this.props.fetch` is the owner's; the default goes to the network. */
export class TrackingMap extends Component<Props, { at?: [number, number] }> {
  static defaultProps = {
    fetch: async (parcel: string) => (await fetch(`/api/track/${parcel}`)).json(),
  };

  state: { at?: [number, number] } = {};

  async componentDidMount() {
    this.setState({ at: await this.props.fetch?.(this.props.parcel) });
  }

  render() {
    const { at } = this.state;
    return at ? <img alt="map" src={`/map?at=${at.join()}`} /> : <p>Asking where it is: fetch(…)</p>;
  }
}
