//! `cargo run -p bellwether-example-axum-service`, and then:
//!
//! ```sh
//! curl -X POST localhost:3000/runs -H 'content-type: application/json' -H 'idempotency-key: 1' \
//!   -d '{"script": "export const meta = {name: \"hello\", description: \"Says hello\"}\nreturn agent(\"hello\")"}'
//! curl localhost:3000/runs/last
//! ```

use std::path::PathBuf;
use std::sync::Arc;

use axum_service::{open, serve};
use bellwether::Engine;
use bellwether::backend::dry::Dry;
use clap::Parser;
use tokio::net::TcpListener;

#[derive(Parser)]
#[command(about = "An HTTP service that runs workflows")]
struct Arguments {
    /// Where the runs are kept.
    #[arg(long, default_value = "axum-service.redb")]
    journal: PathBuf,
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: String,
    /// Go on with the runs that were left unfinished.
    #[arg(long)]
    resume: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // In a service of your own, another backend stands here.
    let builder = Engine::builder()
        .journal(arguments.journal)
        .backend("dry", Arc::new(Dry));
    let engine = open(builder, arguments.resume).await?;
    let listener = TcpListener::bind(&arguments.listen).await?;
    let interrupted = async {
        // Without a handler for the signal the program ends at once, and that loses nothing either.
        let _ = tokio::signal::ctrl_c().await;
    };
    serve(listener, engine, "dry", interrupted).await?;
    Ok(())
}
