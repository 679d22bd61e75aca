//! The body of an answer on its way to the agent: pulled from the provider as fast as the agent takes it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::call::OpenCall;
use super::meter::{CallFailure, CallFailureKind, CallOutcome};
use super::tap::Tap;

/// A provider's answer with a tap in it. It holds no more than the event that is under way, so a slow agent slows
/// the provider down.
pub(super) struct Answer<B> {
    body: B,
    tap: Tap,
    call: OpenCall,
    hides: bool,
    /// As many bytes are still to come, where the provider says how many there are. An agent that has them all asks for no
    /// more, and not every body knows by itself that it is over.
    left: Option<u64>,
    is_ended: bool,
}

impl<B> Answer<B>
where
    B: Body<Data = Bytes>,
{
    pub(super) fn new(body: B, length: Option<u64>, tap: Tap, call: OpenCall, hides: bool) -> Self {
        let mut answer = Self {
            left: length,
            is_ended: body.is_end_stream(),
            body,
            tap,
            call,
            hides,
        };
        if answer.is_ended {
            // Nobody asks an empty body for its end.
            answer.tap.end();
            answer.settle();
        }
        answer
    }
}

impl<B> Answer<B> {
    fn settle(&mut self) {
        if !self.call.is_settled() {
            let outcome = self.tap.outcome();
            self.call.settle(Some(self.tap.counted()), outcome);
        }
    }
}

impl<B> Body for Answer<B>
where
    B: Body<Data = Bytes, Error = reqwest::Error> + Unpin,
{
    type Data = Bytes;
    type Error = reqwest::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, reqwest::Error>>> {
        let this = &mut *self;
        while !this.is_ended {
            let frame = match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => {
                    this.is_ended = true;
                    if this.tap.is_over() {
                        this.settle();
                    } else {
                        let failure = CallFailure {
                            status: Some(200),
                            kind: CallFailureKind::Transport,
                            message: format!("the connection was lost: {}", chain(&error)),
                            retry_after: None,
                        };
                        let counted = this.tap.counted();
                        this.call
                            .settle(Some(counted), CallOutcome::Failed(failure));
                    }
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    this.is_ended = true;
                    let rest = this.tap.end();
                    this.settle();
                    if rest.is_empty() {
                        break;
                    }
                    return Poll::Ready(Some(Ok(Frame::data(rest))));
                }
            };
            let Ok(chunk) = frame.into_data() else {
                // Trailers are about the provider's connection.
                continue;
            };
            this.call.first_byte();
            this.left = this
                .left
                .map(|left| left.saturating_sub(chunk.len() as u64));
            let mut chunk = this.tap.pass(chunk);
            if this.left == Some(0) || this.body.is_end_stream() {
                // The agent has the whole answer with this chunk, so it must have been counted before.
                this.is_ended = true;
                let rest = this.tap.end();
                if !rest.is_empty() {
                    chunk = [chunk, rest].concat().into();
                }
                this.settle();
            } else if this.tap.is_over() {
                this.settle();
            }
            if !chunk.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(chunk))));
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.is_ended
    }

    fn size_hint(&self) -> SizeHint {
        if self.hides {
            SizeHint::default()
        } else {
            self.body.size_hint()
        }
    }
}

impl<B> Drop for Answer<B> {
    fn drop(&mut self) {
        if self.call.is_settled() {
            return;
        }
        let counted = self.tap.counted();
        match self.tap.outcome_if_cut() {
            Some(outcome) => self.call.settle(Some(counted), outcome),
            None => self.call.cut(Some(counted)),
        }
    }
}

/// An error with its causes, without the URL.
pub(super) fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    if text.is_empty() {
        "the connection ended".clone_into(&mut text);
    }
    text
}
