//! What a run has used: counted while its attempts are at work, and whole when they end.

use std::sync::Arc;

use super::RunState;
use super::call::CallStatus;
use crate::id::{Attempt, CallNumber};
use crate::record::Usage;
use crate::usage::{Counted, ModelAsked, UsageCounted};

impl RunState {
    /// An attempt that ends has used this in all; what was counted while it was at work is in the sums already.
    pub(super) fn attempt_used(&mut self, number: CallNumber, usage: Usage) {
        let counted = self.at_work.remove(&number).unwrap_or_default();
        let more = usage.since(counted.usage());
        self.usage = self.usage.plus(more);
        let call = &mut self.calls[number.0 as usize];
        call.usage = call.usage.plus(more);
    }

    pub(super) fn usage_counted(&mut self, record: &UsageCounted) -> Result<(), String> {
        let UsageCounted {
            call: number,
            attempt,
            counted,
        } = *record;
        if attempt == Attempt(0) {
            let rewinds = self
                .generation
                .as_ref()
                .is_some_and(|open| open.base.is_some());
            let call = self.open_call(number)?;
            if !rewinds || call.status != CallStatus::Waiting || call.attempts > 0 {
                return Err(format!("an attempt of call {number} that has begun"));
            }
            call.counted = Some(Box::new(counted));
            return Ok(());
        }
        self.running_call(number, attempt)?;
        let before = self.at_work.insert(number, counted).unwrap_or_default();
        let more = counted.since(before);
        self.usage = self.usage.plus(more.usage());
        self.counted = self.counted.plus(more);
        self.count_for_call(number, more);
        Ok(())
    }

    pub(super) fn model_asked(&mut self, record: &ModelAsked) -> Result<(), String> {
        let ModelAsked {
            call,
            attempt,
            model,
        } = record;
        self.running_call(*call, *attempt)?;
        // A run asks few models, in many calls.
        let known = self.models.values().find(|known| *known == model);
        let model = Arc::clone(known.unwrap_or(model));
        self.models.insert(*call, model);
        Ok(())
    }

    /// A call has used this more.
    pub(super) fn count_for_call(&mut self, number: CallNumber, more: Counted) {
        let call = &mut self.calls[number.0 as usize];
        call.usage = call.usage.plus(more.usage());
        let counted = call.counted.get_or_insert_default();
        **counted = counted.plus(more);
    }
}
