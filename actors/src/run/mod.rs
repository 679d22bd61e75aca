//! One run: its rules ([`machine`]), its recovery ([`replay`]), its calls' keys ([`keys`]), and the actor that performs
//! ([`supervisor`]).

pub mod keys;
pub mod machine;
pub mod replay;
pub mod supervisor;
