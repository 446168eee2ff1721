//! What topics lay out for all their members is in a server's form (RFC 6455 §5.1): a connection that we have dialled gets
//! its own masked copy. Called by the fan-out.

use bytes::Bytes;
use wirefan_protocol::{Header, Kind, Opcode};

use crate::slot::Slot;
use crate::state::Core;

impl<P> Core<P> {
    /// The same for messages that may be dropped one by one while they wait: none of them refers to another.
    pub(crate) fn messages_for(
        &mut self,
        index: u32,
        mut messages: Vec<(Bytes, u64)>,
    ) -> Vec<(Bytes, u64)> {
        for (frame, _) in &mut messages {
            *frame = self.in_form(index, core::mem::take(frame), false);
        }
        messages
    }

    /// The same frames as a dialled connection sends them; for others, the frames themselves.
    pub(crate) fn in_form_for(&mut self, index: u32, frames: Bytes) -> Bytes {
        self.in_form(index, frames, true)
    }

    fn in_form(&mut self, index: u32, frames: Bytes, compress: bool) -> Bytes {
        let slot = self.slots.get_mut(index);
        let Some(slot) = slot.filter(|slot| slot.is_dialled()) else {
            return frames;
        };
        let Some(connection) = Slot::open(slot) else {
            return Bytes::new();
        };
        let mut out = Vec::with_capacity(frames.len() + frames.len() / 8 + Header::MAX_LEN);
        let mut rest = &frames[..];
        // Members that were dialled take the plain lane: each frame is a whole message.
        while let Ok(Some((header, used))) = Header::decode(rest) {
            let len = usize::try_from(header.len).unwrap_or(usize::MAX);
            let (Some(payload), Some(behind)) = (
                rest.get(used..used.saturating_add(len)),
                rest.get(used.saturating_add(len)..),
            ) else {
                break;
            };
            // It is open, and between two messages.
            let _ = match (header.opcode, compress) {
                (Opcode::Text, true) => {
                    connection.send(Kind::Text, payload, &mut self.scratch, &mut out)
                }
                (_, true) => connection.send(Kind::Binary, payload, &mut self.scratch, &mut out),
                // A fragment that is the last is sent as it is.
                (Opcode::Text, false) => match str::from_utf8(payload) {
                    Ok(text) => connection.send_text_fragment(text, true, &mut out),
                    Err(_) => Ok(()),
                },
                (_, false) => connection.send_binary_fragment(payload, true, &mut out),
            };
            rest = behind;
        }
        out.into()
    }
}
