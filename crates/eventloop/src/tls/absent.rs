//! What stands where TLS would be in a build without it: types that have no values, so that nothing is left of it.

use std::io;

use crate::stream::Stream;
use crate::transport::Socket;

#[derive(Clone, Debug)]
pub(crate) enum Tls {}

#[derive(Debug)]
pub(crate) enum TlsStream {}

impl TlsStream {
    pub(crate) fn boxed(_: Stream, tls: Tls) -> Box<Self> {
        match tls {}
    }

    #[allow(clippy::needless_pass_by_ref_mut, reason = "as its namesake")]
    pub(crate) fn put_back(&mut self, _: &[u8]) {
        match *self {}
    }

    pub(crate) fn is_unix(&self) -> bool {
        match *self {}
    }

    #[allow(clippy::needless_pass_by_ref_mut, reason = "as its namesake")]
    pub(crate) fn socket(&mut self) -> &mut Stream {
        match *self {}
    }
}

impl Socket for TlsStream {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        match *self {}
    }

    fn write_vectored(&mut self, _: &[io::IoSlice<'_>]) -> io::Result<usize> {
        match *self {}
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        match *self {}
    }
}
