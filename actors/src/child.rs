//! How a supervisor reads what ractor says of its children.

use ractor::{ActorId, SupervisionEvent};

use crate::restart::Exit;

/// A child that is gone: which, how, and what is known of why. `None` for news that are no end.
pub(crate) fn ended(event: SupervisionEvent) -> Option<(ActorId, Exit, Option<String>)> {
    match event {
        SupervisionEvent::ActorTerminated(child, _, why) => {
            // A kill is told from an end in order by its reason alone.
            let exit = if why.as_deref() == Some("killed") {
                Exit::Abnormal
            } else {
                Exit::Normal
            };
            Some((child.get_id(), exit, why))
        }
        SupervisionEvent::ActorFailed(child, why) => {
            Some((child.get_id(), Exit::Abnormal, Some(why.to_string())))
        }
        _ => None,
    }
}
