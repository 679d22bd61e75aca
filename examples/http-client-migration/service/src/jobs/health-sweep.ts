import { log } from "../lib/log";

const targets = { orders: 8081, billing: 8082, mail: 8083 } as const;

const check = async (name: keyof typeof targets): Promise<boolean> => {
  label: for (let attempt = 0; attempt < 3; attempt++) {
    try {
      switch ((await fetch(`http://127.0.0.1:${targets[name]}/health`)).status) {
        case 200:
          return true;
        case 503:
          continue label;
        default:
          return false;
      }
    } catch {
      log("warn", "fetch failed", { name, attempt });
    }
  }
  return false;
};

export const sweep = () => Promise.all((Object.keys(targets) as (keyof typeof targets)[]).map(check));
