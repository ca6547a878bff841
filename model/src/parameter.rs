//! A named tensor that learns, with a slot for its gradient.
//!
//! Layers hold their parameters and write gradients straight into the slots. So the first micro-batch writes, later ones add, and no
//! gradient as large as the model is ever zeroed, copied or summed. A slot also knows whether it was written: a layer whose backward forgets a parameter
//! is found at the first step, by name. A frozen parameter takes part in both passes and learns nothing: its slot stays empty.

use crate::kernel::Real;
use candle_core::{Device, Result, Storage, Tensor, Var, bail};
use std::sync::{Arc, Mutex, PoisonError};

/// A tensor that learns.
#[derive(Debug)]
pub(crate) struct Parameter<T> {
    name: String,
    value: Var,
    slot: Mutex<Slot<T>>,
}

#[derive(Debug)]
struct Slot<T> {
    /// Empty until the first gradient: a model that only speaks needs no memory for it.
    gradient: Vec<T>,
    written: bool,
    frozen: bool,
}

/// A parameter that layers share.
pub(crate) type Shared<T> = Arc<Parameter<T>>;

/// The numbers of a contiguous tensor in memory.
fn slice<'a, T: Real>(storage: &'a Storage, layout: &candle_core::Layout) -> Result<&'a [T]> {
    let Storage::Cpu(storage) = storage else { bail!("this layer works in main memory only") };
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&T::cpu_storage_as_slice(storage)?[start..end]),
        None => bail!("a layer was given a tensor that is not contiguous"),
    }
}

impl<T: Real> Parameter<T> {
    /// Names a tensor.
    ///
    /// # Errors
    /// `values` does not fill `shape`.
    pub(crate) fn new(name: &str, shape: &[usize], values: Vec<T>) -> Result<Shared<T>> {
        let value = Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu)?)?;
        let slot = Mutex::new(Slot { gradient: Vec::new(), written: false, frozen: false });
        Ok(Arc::new(Self { name: name.to_owned(), value, slot }))
    }

    /// Zeros, which take no memory until they are written to.
    pub(crate) fn blank(name: &str, shape: &[usize]) -> Result<Shared<T>> {
        let value = Var::zeros(shape, T::DTYPE, &Device::Cpu)?;
        let slot = Mutex::new(Slot { gradient: Vec::new(), written: false, frozen: false });
        Ok(Arc::new(Self { name: name.to_owned(), value, slot }))
    }

    /// Name in the checkpoint.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The tensor.
    pub(crate) const fn value(&self) -> &Var {
        &self.value
    }

    /// Reads the numbers.
    pub(crate) fn read<R>(&self, body: impl FnOnce(&[T]) -> R) -> Result<R> {
        let (storage, layout) = self.value.storage_and_layout();
        Ok(body(slice(&storage, layout)?))
    }

    /// Keeps the values as they are from here on; the memory of the gradient is given back.
    pub(crate) fn freeze(&self) {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = Slot { gradient: Vec::new(), written: false, frozen: true };
    }

    /// Lets a frozen parameter learn again.
    pub(crate) fn thaw(&self) {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).frozen = false;
    }

    /// Whether the parameter is not frozen.
    pub(crate) fn learns(&self) -> bool {
        !self.slot.lock().unwrap_or_else(PoisonError::into_inner).frozen
    }

    /// Adds to the gradient: `body` is given the slot and whether to keep what it holds. It is not called for a frozen one.
    pub(crate) fn accumulate(&self, body: impl FnOnce(&mut [T], bool)) {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.frozen {
            return;
        }
        if slot.gradient.is_empty() {
            slot.gradient = vec![T::ZERO; self.value.elem_count()];
        }
        let keep = slot.written;
        slot.written = true;
        body(&mut slot.gradient, keep);
    }

    /// Works on the gradient; `None` when nothing was written since [`Parameter::clear`].
    pub(crate) fn gradient<R>(&self, body: impl FnOnce(Option<&[T]>) -> R) -> R {
        let slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        body(slot.written.then_some(&slot.gradient[..]))
    }

    /// Forgets the gradient.
    pub(crate) fn clear(&self) {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).written = false;
    }
}
