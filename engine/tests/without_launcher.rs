//! A program that neither calls `child_main` nor names a helper.

use bellwether::{AgentInput, Engine, Script, StartOptions};

#[tokio::test]
async fn a_process_agent_is_an_error_that_says_what_to_do() -> Result<(), Box<dyn std::error::Error>>
{
    if std::env::var_os("BELLWETHER_LAUNCHER").is_some() {
        return Err("the program was started as its own launcher".into());
    }
    let engine = Engine::builder().memory().build().await?;
    let source = "export const meta = { name: 'test', description: 'A test' }
                  return agent('Do it.')";
    let options = StartOptions::new().agent_command(["true"], AgentInput::Task);
    let run = engine.start(Script::text(source), options).await?;
    assert_eq!(run.result::<Option<String>>().await?, None);
    let view = engine.archive().view(run.id(), 0)?;
    let message = &view.failures[0].first_message;
    assert!(
        message.contains("child_main") && message.contains("helper"),
        "{message}"
    );
    Ok(())
}
