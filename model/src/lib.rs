//! The pupil: the trainer on candle. An empty room so far.
