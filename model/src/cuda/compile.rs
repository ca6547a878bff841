//! Kernels as machine code for one kind of GPU, by NVRTC.
//!
//! Machine code rather than PTX: a driver refuses PTX of a compiler that is newer than itself.

#![expect(unsafe_code, reason = "NVRTC takes addresses")]

use super::{error, message};
use candle_core::Result;
use cudarc::nvrtc::result::{compile_program, create_program, destroy_program, get_program_log};
use cudarc::nvrtc::sys::{nvrtcGetCUBIN, nvrtcGetCUBINSize, nvrtcProgram};
use std::ffi::{CStr, CString};

/// A program that is given back with its value.
struct Program(nvrtcProgram);

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: it was created and is destroyed once. What NVRTC says of that helps nobody.
        let _ = unsafe { destroy_program(self.0) };
    }
}

/// Compiles a source text for a compute capability.
///
/// # Errors
/// What the compiler says.
pub(super) fn compile(source: &str, options: &[String], (major, minor): (i32, i32)) -> Result<Vec<u8>> {
    let source = CString::new(source).map_err(error)?;
    let program = Program(create_program(&source, Some(c"gristmill.cu")).map_err(error)?);
    let mut options = options.to_vec();
    options.push(format!("--gpu-architecture=sm_{major}{minor}"));
    // SAFETY: the program was created just before.
    if let Err(found) = unsafe { compile_program(program.0, &options) } {
        // SAFETY: as above; the log ends with a zero.
        let log = unsafe { get_program_log(program.0) }.map_err(error)?;
        // SAFETY: as above.
        let log = unsafe { CStr::from_ptr(log.as_ptr()) };
        return Err(message(&format!("kernels do not compile: {found:?}\n{}", log.to_string_lossy())));
    }
    let mut count = 0;
    // SAFETY: NVRTC writes a number, then as many bytes as it said.
    unsafe { nvrtcGetCUBINSize(program.0, &raw mut count) }.result().map_err(error)?;
    let mut code = vec![0_u8; count];
    // SAFETY: as above.
    unsafe { nvrtcGetCUBIN(program.0, code.as_mut_ptr().cast()) }.result().map_err(error)?;
    Ok(code)
}
