//! Where there is no AVX2 the automaton splits plain ASCII too.

use super::automaton::Automaton;

/// Rules for a machine that this program is not built for.
#[derive(Clone, Copy)]
pub(super) enum Plain {}

impl Plain {
    /// No pattern has rules here.
    pub(super) const fn of(_pattern: &str) -> Option<Self> {
        None
    }

    /// Is never called.
    pub(super) fn split(self, _: &Automaton, _: &[u8], _: usize, _: &mut Vec<u32>) {
        match self {}
    }
}
