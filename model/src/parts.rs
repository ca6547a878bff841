//! The parts of a transformer that settings choose between, by the names that `[train]` and `config.json` give them.

use schemas::{ConfigValue, Value, choice};

choice! {
    /// A published transformer: the defaults of all other parts, and what a checkpoint calls its tensors.
    pub enum Architecture {
        /// LLaMA: rotary positions, RMSNorm, SwiGLU, grouped-query attention.
        Llama = "llama",
        /// GPT-2 and GPT-3: learned positions, LayerNorm, GELU.
        Gpt = "gpt",
        /// Falcon: rotary positions, attention and feed-forward part side by side, one key head for all queries.
        Falcon = "falcon",
        /// BERT: learned positions, norms behind each part, token types, a head with a transform.
        Bert = "bert",
    }
}

choice! {
    /// How a model knows the order of its tokens.
    pub enum Positions {
        /// A learned vector for each place, added to the embedding.
        Learned = "learned",
        /// Queries and keys turned by their place (arXiv 2104.09864).
        Rotary = "rotary",
        /// Scores lowered with the distance, by a slope for each head (arXiv 2108.12409).
        Alibi = "alibi",
        /// None: what comes later is known by the mask or by recurrences alone.
        None = "none",
    }
}

choice! {
    /// What keeps activations at one scale.
    pub enum NormKind {
        /// LayerNorm (arXiv 1607.06450).
        Layer = "layer",
        /// RMSNorm (arXiv 1910.07467).
        Rms = "rms",
        /// Batch norm (arXiv 1502.03167) over the tokens of a micro-batch.
        Batch = "batch",
    }
}

choice! {
    /// Where the norms of a block stand.
    pub enum NormPlace {
        /// Before each part, with one more behind the last block (GPT-2 and later).
        Before = "before",
        /// Behind each part, on the residual itself (BERT and the first transformer).
        After = "after",
    }
}

choice! {
    /// Which function stands between the two matrices of a feed-forward part.
    pub enum Activation {
        /// GELU in its tanh form (arXiv 1606.08415), as in GPT-2.
        Gelu = "gelu",
        /// GELU by the error function, as in BERT and Falcon.
        GeluExact = "gelu_exact",
        /// max(x, 0).
        Relu = "relu",
        /// max(x, 0)² (arXiv 2109.08668).
        Relu2 = "relu2",
        /// x·σ(x), the swish (arXiv 1710.05941).
        Silu = "silu",
        /// A SiLU that gates a second matrix (arXiv 2002.05202).
        SwiGlu = "swiglu",
        /// A GELU in its tanh form that gates a second matrix (arXiv 2002.05202).
        GeGlu = "geglu",
    }
}

choice! {
    /// How fresh matrices are drawn. Gains begin at 1, biases at 0.
    pub enum InitScheme {
        /// Normal with deviation 0.02; what is added to the residual begins smaller by √(2 · layers) (GPT-2).
        Gpt2 = "gpt2",
        /// Normal with deviation 0.02, cut at two deviations (BERT).
        Truncated = "truncated",
        /// Normal with deviation √(2 ÷ (in + out)) (Glorot and Bengio 2010).
        Xavier = "xavier",
        /// Matrices with deviation √(2 ÷ (5 · width)) (arXiv 1910.05895) and an embedding near 0, normed at once.
        Small = "small",
    }
}

/// What mixes the tokens of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mixer {
    /// Softmax attention.
    Attention,
    /// A gated linear recurrence.
    Recurrence,
}

impl Mixer {
    /// Letter in a pattern of layers.
    pub(crate) const fn letter(self) -> char {
        match self {
            Self::Attention => 'a',
            Self::Recurrence => 'r',
        }
    }

    /// The mixers of so many layers by a pattern that is repeated: `rra` is two recurrences, then attention, and so on.
    ///
    /// # Errors
    /// The pattern is empty or has other letters.
    pub(crate) fn pattern(pattern: &str, layers: usize) -> Result<Vec<Self>, String> {
        let mixer = |letter| match letter {
            'a' => Ok(Self::Attention),
            'r' => Ok(Self::Recurrence),
            other => Err(format!("`mixers` has the letter `{other}`; `a` is attention, `r` a recurrence")),
        };
        let once = pattern.chars().map(mixer).collect::<Result<Vec<_>, _>>()?;
        if once.is_empty() {
            return Err("`mixers` is empty; `a` is attention, `r` a recurrence".to_owned());
        }
        Ok(once.into_iter().cycle().take(layers).collect())
    }
}

impl Activation {
    /// Whether half of the features that go in gate the other half.
    pub const fn is_gated(self) -> bool {
        matches!(self, Self::SwiGlu | Self::GeGlu)
    }
}

/// The name of a choice.
pub(crate) fn name_of(choice: &impl ConfigValue) -> String {
    choice.show().trim_matches('"').to_owned()
}

/// The choice of a name.
pub(crate) fn by_name<T: ConfigValue>(name: &str) -> Option<T> {
    T::read(&Value::from(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_repeated_over_the_layers() {
        let letters = |pattern, layers| {
            Mixer::pattern(pattern, layers).map(|m| m.iter().map(|m| m.letter()).collect::<String>())
        };
        assert_eq!(letters("rra", 7).unwrap(), "rrarrar");
        assert_eq!(letters("arr", 2).unwrap(), "ar");
        assert!(letters("", 2).unwrap_err().contains("empty"));
        assert!(letters("ab", 2).unwrap_err().contains("the letter `b`"));
    }

    #[test]
    fn names_are_read_back() {
        for activation in [Activation::GeluExact, Activation::Relu2, Activation::SwiGlu] {
            assert_eq!(by_name::<Activation>(&name_of(&activation)), Some(activation));
        }
        assert_eq!(by_name::<Positions>("sinus"), None);
    }
}
