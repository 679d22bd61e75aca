//! What is seen of a run while it goes on: bars on a terminal, lines elsewhere, JSON for programs.

use std::collections::HashMap;
use std::time::Duration;

use bellwether::view::Money;
use bellwether::{Event, Lagged, Level, Status, Usage};
use indicatif::{ProgressBar, ProgressStyle};

use super::paint::one_line;
use super::{Screen, human};
use crate::time::elapsed;

/// How often bars are drawn.
const TICK: Duration = Duration::from_millis(200);

/// Shows a run's events.
pub(crate) struct Progress {
    screen: Screen,
    form: Form,
    /// The command that answers a question of the run.
    answer: Option<String>,
}

enum Form {
    /// Nothing but the end.
    Quiet,
    /// One JSON a line on stdout.
    Json,
    /// A line for each thing that happens, on stderr.
    Lines,
    /// Bars on a terminal.
    Bars(Box<Bars>),
}

impl Progress {
    /// Begins to show a run.
    pub(crate) fn new(screen: Screen, events: bool) -> Self {
        let form = match screen {
            _ if events => Form::Json,
            Screen { quiet: true, .. } => Form::Quiet,
            Screen { live: true, .. } => Form::Bars(Box::new(Bars::new())),
            _ => Form::Lines,
        };
        Self {
            screen,
            form,
            answer: None,
        }
    }

    /// Proposes this command when the run waits for a person.
    pub(crate) fn answered_by(self, command: String) -> Self {
        Self {
            answer: Some(command),
            ..self
        }
    }

    /// Shows an event, or that some were missed.
    pub(crate) fn event(&mut self, event: &Result<Event, Lagged>) {
        match (&mut self.form, event) {
            (Form::Quiet, _) => {}
            (Form::Json, Ok(event)) => {
                if let Ok(text) = serde_json::to_string(event) {
                    super::line(&text);
                }
            }
            (Form::Json, Err(Lagged(missed))) => {
                super::line(&format!("{{\"type\":\"lagged\",\"missed\":{missed}}}"));
            }
            (Form::Lines, Ok(event)) => {
                if let Some(line) = line(event, self.screen) {
                    self.screen.note(&line);
                }
                propose(event, self.answer.as_deref(), self.screen);
            }
            (Form::Lines, Err(Lagged(missed))) => {
                self.screen
                    .note(&format!("… {missed} events were too many to show"));
            }
            (Form::Bars(bars), Ok(event)) => {
                if !matches!(event, Event::AgentEnded { outcome, .. } if outcome == "completed")
                    && let Some(line) = line(event, self.screen)
                {
                    self.screen.note(&line);
                }
                propose(event, self.answer.as_deref(), self.screen);
                bars.event(event);
            }
            (Form::Bars(bars), Err(Lagged(_))) => bars.lagged(),
        }
    }

    /// Waits until bars are to be drawn, and draws them; for ever without bars.
    /// Takes bars off the terminal until the next event.
    pub(crate) fn hide() {
        // Nothing is lost where they cannot be cleared.
        let _ = super::bars().clear();
    }

    pub(crate) async fn tick(&mut self) {
        match &mut self.form {
            Form::Bars(bars) => {
                bars.clock.tick().await;
                bars.draw();
            }
            _ => std::future::pending().await,
        }
    }

    /// Takes the bars away.
    pub(crate) fn finish(&mut self) {
        if let Form::Bars(bars) = &mut self.form {
            bars.clear();
        }
    }
}

/// How a question is answered, when the run begins to wait for that.
fn propose(event: &Event, command: Option<&str>, screen: Screen) {
    if let (Event::Status { status, .. }, Some(command)) = (event, command)
        && *status == Status::Waiting
    {
        screen.note(&format!("answer it with `{command}`"));
    }
}

/// An event as a line, if it is worth one.
fn line(event: &Event, screen: Screen) -> Option<String> {
    const SHOWN: usize = 300;
    let paint = screen.err;
    let named = |agent: &str, label: Option<&String>| match label {
        Some(label) => format!("{agent} {}", one_line(label, 60)),
        None => agent.to_owned(),
    };
    match event {
        // How it ended is told at the end, with all that belongs to it.
        Event::Status { status, .. } if status.is_final() => None,
        Event::Status { status, reason, .. } => {
            let why = reason
                .as_ref()
                .map(|why| format!(": {}", one_line(why, SHOWN)));
            Some(format!(
                "status {}{}",
                paint.status(*status, status.name()),
                why.unwrap_or_default()
            ))
        }
        Event::Phase { title, .. } => {
            Some(paint.bold(&format!("phase {}", one_line(title, SHOWN))))
        }
        Event::Log { level, text, .. } => {
            let text = super::paint::plain(text);
            Some(match level {
                Level::Warning => paint.yellow(&format!("warning: {text}")),
                Level::Error => paint.red(&format!("error: {text}")),
                _ => format!("log {text}"),
            })
        }
        Event::AgentRetrying {
            agent,
            attempt,
            kind,
            message,
            ..
        } => Some(format!(
            "{agent} {} attempt {attempt}: {kind}: {}",
            paint.yellow("retrying after"),
            one_line(message, SHOWN)
        )),
        Event::AgentEnded {
            agent,
            label,
            outcome,
            kind,
            message,
            usage,
            ..
        } => {
            let why = message.as_ref().map(|message| {
                let kind = kind.as_deref().unwrap_or("error");
                format!(": {kind}: {}", one_line(message, SHOWN))
            });
            let used = human::tokens(*usage);
            let used = if used > 0 {
                format!(", {} tokens", human::number(used))
            } else {
                String::new()
            };
            Some(format!(
                "{} {}{}{used}",
                named(agent, label.as_ref()),
                paint.outcome(outcome, outcome),
                why.unwrap_or_default()
            ))
        }
        _ => None,
    }
}

/// Agents of one phase.
#[derive(Default)]
struct PhaseState {
    title: Option<String>,
    scheduled: u64,
    running: u64,
    ended: u64,
    failed: u64,
    tokens: u64,
    bar: Option<ProgressBar>,
}

/// A line for the run and one for each phase.
struct Bars {
    run: ProgressBar,
    phases: Vec<PhaseState>,
    /// The phase of each agent that has not ended, and whether it runs.
    agents: HashMap<String, (usize, bool)>,
    /// What the run's agents have used in all, those at work included, as far as it was counted.
    spent: Option<(Usage, Option<Money>)>,
    missed: bool,
    clock: tokio::time::Interval,
}

impl Bars {
    fn new() -> Self {
        let run =
            super::bars().add(ProgressBar::new_spinner().with_style(style("{spinner} {msg}")));
        let mut clock = tokio::time::interval(TICK);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        Self {
            run,
            phases: Vec::new(),
            agents: HashMap::new(),
            spent: None,
            missed: false,
            clock,
        }
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::Phase { title, .. } => {
                self.phase(Some(title));
            }
            Event::AgentScheduled { agent, phase, .. } => {
                let phase = self.phase(phase.as_ref());
                self.phases[phase].scheduled += 1;
                self.agents.insert(agent.clone(), (phase, false));
            }
            Event::AgentStarted { agent, .. } => {
                if let Some((phase, running)) = self.agents.get_mut(agent)
                    && !std::mem::replace(running, true)
                {
                    self.phases[*phase].running += 1;
                }
            }
            Event::Spent { usage, cost, .. } => self.spent = Some((*usage, *cost)),
            Event::AgentRetrying { agent, .. } => {
                if let Some((phase, running)) = self.agents.get_mut(agent)
                    && std::mem::replace(running, false)
                {
                    self.phases[*phase].running -= 1;
                }
            }
            Event::AgentEnded {
                agent,
                phase,
                outcome,
                usage,
                ..
            } => {
                let (index, running) = self.agents.remove(agent).unwrap_or_else(|| {
                    // Its beginning was missed.
                    let index = self.phase(phase.as_ref());
                    self.phases[index].scheduled += 1;
                    (index, false)
                });
                let phase = &mut self.phases[index];
                phase.ended += 1;
                phase.running -= u64::from(running);
                phase.failed += u64::from(outcome == "failed");
                phase.tokens = phase
                    .tokens
                    .saturating_add(human::tokens(Usage::clone(usage)));
            }
            _ => {}
        }
    }

    fn lagged(&mut self) {
        self.missed = true;
    }

    fn phase(&mut self, title: Option<&String>) -> usize {
        let found = self
            .phases
            .iter()
            .position(|phase| phase.title.as_ref() == title);
        found.unwrap_or_else(|| {
            self.phases.push(PhaseState {
                title: title.cloned(),
                ..PhaseState::default()
            });
            self.phases.len() - 1
        })
    }

    fn draw(&mut self) {
        let about = if self.missed { "about " } else { "" };
        for phase in &mut self.phases {
            let bar = phase.bar.get_or_insert_with(|| {
                let style = style("  {prefix:24!} {bar:20} {msg}");
                super::bars().add(ProgressBar::new(0).with_style(style))
            });
            let title = phase.title.as_deref().unwrap_or("(no phase)");
            bar.set_prefix(one_line(title, 24));
            bar.set_length(phase.scheduled.max(1));
            bar.set_position(phase.ended);
            let failed = match phase.failed {
                0 => String::new(),
                failed => format!(", {failed} failed"),
            };
            bar.set_message(format!(
                "{about}{}/{}, {} running{failed}, {} tokens",
                phase.ended,
                phase.scheduled,
                phase.running,
                human::number(phase.tokens)
            ));
        }
        let sum = |count: fn(&PhaseState) -> u64| self.phases.iter().map(count).sum::<u64>();
        let time = u64::try_from(self.run.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (usage, cost) = self.spent.unwrap_or_default();
        let tokens = sum(|phase| phase.tokens).max(human::tokens(usage));
        self.run.set_message(format!(
            "{}  {about}{}/{} agents, {} tokens{}",
            elapsed(time),
            sum(|phase| phase.ended),
            sum(|phase| phase.scheduled),
            human::number(tokens),
            human::cost(cost)
        ));
        self.run.tick();
    }

    fn clear(&mut self) {
        for phase in &self.phases {
            if let Some(bar) = &phase.bar {
                bar.finish_and_clear();
            }
        }
        self.run.finish_and_clear();
        // The terminal may be gone.
        let _ = super::bars().clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
