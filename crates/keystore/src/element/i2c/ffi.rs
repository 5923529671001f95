//! The one `ioctl` of Linux's I²C character devices that the driver needs.
#![expect(unsafe_code, reason = "this module makes a system call that has no safe wrapper")]

use std::fs::File;
use std::io;

use rustix::ioctl::{IntegerSetter, ioctl};

/// I2C_SLAVE (Linux, `linux/i2c-dev.h`).
const I2C_SLAVE: rustix::ioctl::Opcode = 0x0703;

/// Says to which address reads and writes go.
pub(super) fn set_address(device: &File, address: u16) -> io::Result<()> {
    // SAFETY: the kernel takes the address as a number, and touches no memory of ours. A file that is no I²C device does
    // not know the code and refuses it.
    unsafe {
        let request = IntegerSetter::<I2C_SLAVE>::new_usize(usize::from(address));
        ioctl(device, request)?;
    }
    Ok(())
}
