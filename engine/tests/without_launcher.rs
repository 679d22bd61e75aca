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

/// Its scripts run within it, unless it names a helper: then they live in a process that the helper became.
#[cfg(feature = "vm-process")]
#[tokio::test]
async fn scripts_run_within_it_or_in_the_helper() -> Result<(), Box<dyn std::error::Error>> {
    let source = "export const meta = { name: 'test', description: 'A test' }
                  const all = [1, 2, 3]
                  await sleep(1)
                  return all.length";
    let run = async |engine: Engine| -> Result<u32, Box<dyn std::error::Error>> {
        let options = StartOptions::new().agent_command(["true"], AgentInput::Task);
        let run = engine.start(Script::text(source), options).await?;
        Ok(run.result().await?)
    };
    let engine = Engine::builder().memory().build().await?;
    assert!(engine.runs_scripts_in_process());
    assert_eq!(run(engine).await?, 3);

    let helper = env!("CARGO_BIN_EXE_bellwether-helper");
    let engine = Engine::builder().memory().helper(helper).build().await?;
    assert_eq!(run(engine.clone()).await?, 3);
    assert!(
        !engine.runs_scripts_in_process(),
        "the helper serves no scripts"
    );

    // What is no helper is told of, and the script runs all the same.
    let engine = Engine::builder()
        .memory()
        .helper("/bin/true")
        .build()
        .await?;
    assert_eq!(run(engine.clone()).await?, 3);
    assert!(engine.runs_scripts_in_process());
    Ok(())
}
