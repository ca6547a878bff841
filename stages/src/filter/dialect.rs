//! Whose rules the filters of Gopher's paper follow: the field's tools disagree under one name. No kind lives here.

use schemas::choice;

choice! {
    /// Whose rules are meant.
    pub enum Dialect {
        /// The house's own.
        Ours = "gristmill",
        /// Those of datatrove 0.10.1.
        Datatrove = "datatrove-0.10",
        /// Those of DCLM.
        Dclm = "dclm",
        /// Those of Dolma, second version.
        Dolma = "dolma",
        /// Those of NeMo Curator.
        Nemo = "nemo",
    }
}
