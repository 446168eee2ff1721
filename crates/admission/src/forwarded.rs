//! [`TrustedProxies`]: the client's address and scheme as the proxies in front tell them. Asked once for each request.

use std::net::{IpAddr, SocketAddr};

use crate::{Networks, Scheme};

/// Most entries that are looked at: more proxies than this stand before nobody.
pub const MAX_HOPS: usize = 32;

/// The proxies whose word counts, and the header they give it in.
///
/// A proxy appends the address that it was reached from. So the entries are read from the right, beginning with the peer of
/// the socket: as long as the one that speaks is trusted, the address before it is believed, and the first address
/// that is not a trusted proxy is the client. What stands further to the left is what the client claims, and is not read. An
/// entry that is no address (`unknown`, an obfuscated name, garbage) ends the walk at the proxy that wrote it.
///
/// Only one of the two headers is read, the one that the proxies are known to write: they pass the other one on as the
/// client sent it. `X-Forwarded-Proto` belongs to the first; a proxy has to set it and not to pass it on.
///
/// ```
/// use wirefan_admission::{ForwardedHeader, Scheme, TrustedProxies};
///
/// let proxies = TrustedProxies::new("10.0.0.0/8".parse()?, ForwardedHeader::XForwardedFor);
/// let headers: [(&str, &[u8]); 2] = [
///     ("X-Forwarded-For", b"127.0.0.1, 192.0.2.7, 10.0.0.9"),
///     ("X-Forwarded-Proto", b"https"),
/// ];
/// let client = proxies.client("10.0.0.1".parse()?, headers);
/// assert_eq!(client.address, "192.0.2.7".parse::<std::net::IpAddr>()?);
/// assert_eq!(client.scheme, Some(Scheme::Tls));
///
/// let stranger = proxies.client("192.0.2.8".parse()?, headers);
/// assert_eq!(stranger.address, "192.0.2.8".parse::<std::net::IpAddr>()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TrustedProxies {
    networks: Networks,
    header: ForwardedHeader,
}

/// Where proxies put the address.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`, with `X-Forwarded-Proto`: what nearly all of them write.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// Who is calling, as far as it can be known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Client {
    /// The address; an IPv4 one inside of IPv6 is given as IPv4.
    pub address: IpAddr,
    /// The port, if a proxy told it.
    pub port: Option<u16>,
    /// How the client reached the outermost proxy that is trusted, if that told it.
    pub scheme: Option<Scheme>,
    /// Whether a trusted proxy stands in between, whatever it told.
    pub by_proxy: bool,
}

impl TrustedProxies {
    /// Trusts `proxies` to write `header`.
    pub fn new(proxies: Networks, header: ForwardedHeader) -> Self {
        Self {
            networks: proxies,
            header,
        }
    }

    /// Whether this is the address of a proxy.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.networks.contains(address)
    }

    /// The client behind `peer`, the other end of the socket. `headers` are those of the request, in their order.
    ///
    /// The peer of a Unix socket has no address: take that of the loopback, and trust it or not.
    pub fn client<'h>(
        &self,
        peer: IpAddr,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
    ) -> Client {
        let mut client = Client {
            address: peer.to_canonical(),
            port: None,
            scheme: None,
            by_proxy: self.trusts(peer),
        };
        if !client.by_proxy {
            return client;
        }
        match self.header {
            ForwardedHeader::XForwardedFor => self.walk_x_forwarded(&mut client, headers),
            ForwardedHeader::Forwarded => self.walk_forwarded(&mut client, headers),
        }
        client
    }

    fn walk_x_forwarded<'h>(
        &self,
        client: &mut Client,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
    ) {
        let (mut addresses, mut schemes) = (Vec::new(), Vec::new());
        for (name, value) in headers {
            if name.eq_ignore_ascii_case("x-forwarded-for") {
                addresses.push(value);
            } else if name.eq_ignore_ascii_case("x-forwarded-proto") {
                schemes.push(value);
            }
        }
        let schemes: Vec<_> = from_the_right(&schemes, Quotes::AreText)
            .take(MAX_HOPS)
            .collect();
        for (hop, entry) in from_the_right(&addresses, Quotes::AreText)
            .take(MAX_HOPS)
            .enumerate()
        {
            // One for all, or one for each.
            let scheme = match &schemes[..] {
                [only] => Some(only),
                list => list.get(hop),
            };
            client.scheme = scheme.and_then(|&name| Scheme::named(str::from_utf8(name).ok()?));
            if !self.step(client, str::from_utf8(entry).ok().and_then(node)) {
                return;
            }
        }
        if addresses.is_empty()
            && let [only] = schemes[..]
        {
            client.scheme = str::from_utf8(only).ok().and_then(Scheme::named);
        }
    }

    fn walk_forwarded<'h>(
        &self,
        client: &mut Client,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
    ) {
        let lines: Vec<_> = headers
            .into_iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("forwarded"))
            .map(|(_, value)| value)
            .collect();
        for entry in from_the_right(&lines, Quotes::Count).take(MAX_HOPS) {
            let Some(element) = str::from_utf8(entry).ok().and_then(Element::parse) else {
                return;
            };
            client.scheme = element.proto.as_deref().and_then(Scheme::named);
            if !self.step(client, element.node.as_deref().and_then(node)) {
                return;
            }
        }
    }

    /// Believes one entry, and says whether the next one counts too.
    fn step(&self, client: &mut Client, entry: Option<(IpAddr, Option<u16>)>) -> bool {
        let Some((address, port)) = entry else {
            return false;
        };
        (client.address, client.port) = (address, port);
        self.trusts(address)
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Quotes {
    Count,
    AreText,
}

/// The elements of all `lines`, the last one first, without empty ones (RFC 9110 §5.6.1).
///
/// They are cut from the right: what the client wrote is to the left of what trusted proxies appended, so a quote that it
/// leaves open cannot swallow an entry of theirs.
fn from_the_right<'l>(lines: &[&'l [u8]], quotes: Quotes) -> impl Iterator<Item = &'l [u8]> {
    lines
        .iter()
        .rev()
        .flat_map(move |line| {
            let mut rest = Some(*line);
            std::iter::from_fn(move || {
                let text = rest?;
                let comma = last_comma(text, quotes);
                rest = comma.map(|at| text.get(..at).unwrap_or_default());
                Some(comma.map_or(text, |at| text.get(at + 1..).unwrap_or_default()))
            })
        })
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

fn last_comma(text: &[u8], quotes: Quotes) -> Option<usize> {
    let mut inside = false;
    for (at, &byte) in text.iter().enumerate().rev() {
        match byte {
            b'"' if quotes == Quotes::Count && !is_escaped(text, at) => inside = !inside,
            b',' if !inside => return Some(at),
            _ => {}
        }
    }
    None
}

/// RFC 9110 §5.6.4: whether an odd number of backslashes stands before the byte.
fn is_escaped(text: &[u8], at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    let slashes = before.iter().rev().take_while(|&&byte| byte == b'\\');
    slashes.count() % 2 == 1
}

/// An address with or without a port, as `X-Forwarded-For` and RFC 7239 §6 have it; IPv6 with brackets or, alone, without.
fn node(text: &str) -> Option<(IpAddr, Option<u16>)> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some((address.to_canonical(), None));
    }
    if let Some(inside) = text.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
        let address: std::net::Ipv6Addr = inside.parse().ok()?;
        return Some((IpAddr::V6(address).to_canonical(), None));
    }
    // RFC 7239 §6.3: a port may be hidden behind a name, which takes nothing from the address.
    if let Some((address, port)) = text.rsplit_once(':')
        && is_hidden(port)
        && (!address.contains(':') || address.ends_with(']'))
    {
        return node(address);
    }
    let address: SocketAddr = text.parse().ok()?;
    Some((address.ip().to_canonical(), Some(address.port())))
}

/// RFC 7239 §6.3: an underscore and then letters, digits, `.`, `_`, `-`.
fn is_hidden(text: &str) -> bool {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.strip_prefix('_')
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(valid))
}

/// What counts of a forwarded-element (RFC 7239 §4).
#[derive(Default)]
struct Element {
    node: Option<String>,
    proto: Option<String>,
}

impl Element {
    /// Reads `name=value` pairs with semicolons between them; a name comes once.
    fn parse(text: &str) -> Option<Self> {
        let mut element = Self::default();
        let mut rest = text;
        loop {
            let (name, behind) = rest.split_once('=')?;
            let name = name.trim_matches([' ', '\t']);
            let (value, behind) = value(behind)?;
            let place = match name {
                _ if name.eq_ignore_ascii_case("for") => Some(&mut element.node),
                _ if name.eq_ignore_ascii_case("proto") => Some(&mut element.proto),
                _ if !name.is_empty() && name.bytes().all(is_token_byte) => None,
                _ => return None,
            };
            if let Some(place) = place
                && place.replace(value).is_some()
            {
                return None;
            }
            let behind = behind.trim_start_matches([' ', '\t']);
            rest = match behind.strip_prefix(';') {
                Some(next) => next.trim_start_matches([' ', '\t', ';']),
                None if behind.is_empty() => return Some(element),
                None => return None,
            };
            if rest.is_empty() {
                return Some(element);
            }
        }
    }
}

/// A token, or what stands in quotes (RFC 9110 §5.6.4), and what is behind it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ' ', '\t']).unwrap_or(text.len());
        let (token, behind) = text.split_at(end);
        // Addresses with ports are seen without the quotes that RFC 7239 §4 wants; nothing else could be meant.
        let valid = |byte: u8| is_token_byte(byte) || b":[]".contains(&byte);
        let fits = !token.is_empty() && token.bytes().all(valid);
        return fits.then(|| (token.to_owned(), behind));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, quoted.get(at + 1..)?)),
            '\\' => value.push(chars.next()?.1),
            char => value.push(char),
        }
    }
    None
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests;
