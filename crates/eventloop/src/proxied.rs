//! The PROXY protocol in front of a connection: who may send it, what it tells, and what goes on behind it. Called by the
//! worker's `read`.

use core::fmt;
use core::mem;
use std::io;
use std::sync::Arc;

use wirefan_admission::proxy_protocol::{ProxyError, ProxyHeader};
use wirefan_protocol::Input;
use wirefan_protocol::handshake::ServerHandshake;

use crate::admit::Refusal;
use crate::guests::Proxy;
use crate::slot::{Inbound, Stage};
use crate::worker::Worker;
use crate::{CloseCause, Handler};

/// Most bytes read at once. A header has seldom more than a hundred, and what comes behind it is to be kept small.
const AT_ONCE: usize = 4 * 1024;

/// Why a connection to a listener that reads the PROXY protocol came to nothing.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ProxyFailure {
    /// The peer is none of the trusted proxies.
    Untrusted,
    /// What it sent is no PROXY header.
    Header(ProxyError),
}

impl ProxyFailure {
    /// The same word in every log and count.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Untrusted => "proxy_untrusted",
            Self::Header(_) => "bad_proxy_header",
        }
    }
}

impl fmt::Display for ProxyFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Untrusted => f.write_str("not one of the trusted proxies"),
            Self::Header(why) => write!(f, "{why}"),
        }
    }
}

impl core::error::Error for ProxyFailure {}

impl<H: Handler> Worker<H> {
    /// Reads a part of the header, and what came with the end of it.
    pub(crate) fn read_proxy_header(&mut self, index: u32) {
        let Some(slot) = self.core.slots.get_mut(index) else {
            return;
        };
        let Stage::Proxied(reader) = &mut slot.stage else {
            return;
        };
        let room = AT_ONCE.min(self.read_buffer.len());
        let len = match slot.socket.read_raw(&mut self.read_buffer[..room]) {
            Ok((0, _)) => {
                slot.flags.inbound = Inbound::AtEnd;
                slot.flags.readable = false;
                return self.core.end(index, CloseCause::Lost);
            }
            Ok((len, emptied)) => {
                slot.flags.readable = !emptied || slot.flags.inbound != Inbound::Open;
                len
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                slot.flags.readable = false;
                return;
            }
            Err(error) => return self.core.end(index, CloseCause::Reset(error.kind())),
        };
        let mut behind = &self.read_buffer[..len];
        match reader.read(&mut behind) {
            Ok(None) => self.core.read_again(index),
            Ok(Some(header)) => {
                let start = len - behind.len();
                if self.meet(index, &header) {
                    self.go_on_behind(index, start, len);
                }
            }
            Err(why) => {
                let failure = ProxyFailure::Header(why);
                self.core.end(index, CloseCause::Proxy(failure));
            }
        }
    }

    /// Takes over what the header says; returns whether that client may come in.
    fn meet(&mut self, index: u32, header: &ProxyHeader) -> bool {
        let core = &mut self.core;
        let Some(slot) = core.slots.get_mut(index) else {
            return false;
        };
        let handshake = ServerHandshake::new(Arc::clone(&core.settings.protocol));
        slot.stage = Stage::Handshake(handshake);
        // LOCAL and UNKNOWN: a health check perhaps. It is the proxy's own, and counted for nobody.
        let Some(source) = header.source() else {
            return true;
        };
        let proxy = mem::replace(&mut slot.addr, source.into());
        let proxy = (!slot.socket.is_unix()).then_some(proxy);
        core.guests.entry(index).proxy = Some(Proxy(proxy));
        let Some(addresses) = &core.settings.admission.addresses else {
            return true;
        };
        match addresses.admit(source.ip(), core.now) {
            Ok(permit) => {
                core.guests.entry(index).permit = Some(permit);
                true
            }
            Err(why) => {
                self.refuse(index, Refusal::Address(why));
                false
            }
        }
    }

    /// What stands behind the header is for TLS or HTTP.
    fn go_on_behind(&mut self, index: u32, start: usize, len: usize) {
        let mut buffer = mem::take(&mut self.read_buffer);
        let behind = &mut buffer[start..len];
        if let Some(slot) = self.core.slots.get_mut(index)
            && !slot.socket.is_plain()
        {
            slot.socket.put_back(behind);
            slot.flags.readable |= !behind.is_empty();
        } else if !behind.is_empty() {
            self.core.turn_to(Some(index));
            self.drive_aside(index, Input::new(behind));
            self.leave_call(index);
        }
        self.read_buffer = buffer;
        self.core.read_again(index);
    }
}
