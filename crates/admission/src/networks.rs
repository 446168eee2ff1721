//! [`Network`] and [`Networks`]: which addresses are meant, in CIDR notation. Used by `forwarded`, and for lists of any
//! other kind.

use std::error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Addresses with the same first bits.
///
/// IPv4 addresses inside of IPv6 (`::ffff:192.0.2.1`, RFC 4291 §2.5.5.2) are IPv4 addresses here, on both sides of the
/// question. Hence `::/0` means all of IPv6 and nothing of IPv4.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// The network of `address` and the first `prefix` bits.
    ///
    /// # Errors
    ///
    /// [`PrefixTooLong`](NetworkError::PrefixTooLong), and [`BitsBehindPrefix`](NetworkError::BitsBehindPrefix) where the
    /// address has more bits than the prefix says.
    pub fn new(address: IpAddr, prefix: u8) -> Result<Self, NetworkError> {
        let (network, width) = match (address, address.to_canonical()) {
            (IpAddr::V6(_), IpAddr::V4(inner)) => {
                // Shorter prefixes of mapped addresses mean more than the mapped ones: nobody writes that on purpose.
                let prefix = prefix.checked_sub(96).ok_or(NetworkError::MappedPrefix)?;
                (
                    Self {
                        address: inner.into(),
                        prefix,
                    },
                    32,
                )
            }
            (IpAddr::V4(_), canonical) => (
                Self {
                    address: canonical,
                    prefix,
                },
                32,
            ),
            (IpAddr::V6(_), canonical) => (
                Self {
                    address: canonical,
                    prefix,
                },
                128,
            ),
        };
        if network.prefix > width {
            return Err(NetworkError::PrefixTooLong);
        }
        let first = first_of(network.address, network.prefix);
        if first == network.address {
            Ok(network)
        } else {
            Err(NetworkError::BitsBehindPrefix(Self {
                address: first,
                prefix: network.prefix,
            }))
        }
    }

    /// Whether `address` lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        first_of(address.to_canonical(), self.prefix) == self.address
    }
}

/// `address` with all bits behind the prefix cleared.
fn first_of(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX
                .checked_shl(32 - u32::from(prefix.min(32)))
                .unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX
                .checked_shl(128 - u32::from(prefix.min(128)))
                .unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    /// Reads `10.0.0.0/8`, `fd00::/8`, or an address alone, which means only itself.
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError::NoAddress)?;
        let prefix = match prefix {
            // RFC 4632 §3.1: a decimal number and nothing else.
            Some(digits) if digits.len() <= 3 && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map_err(|_| NetworkError::NoPrefix)?
            }
            Some(_) => return Err(NetworkError::NoPrefix),
            None if address.is_ipv4() => 32,
            None => 128,
        };
        Self::new(address, prefix)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// A set of networks; the default is empty.
///
/// ```
/// use wirefan_admission::Networks;
///
/// let proxies: Networks = "loopback, 10.0.0.0/8, 2001:db8::/32".parse()?;
/// assert!(proxies.contains("10.1.2.3".parse()?));
/// assert!(proxies.contains("::ffff:10.1.2.3".parse()?));
/// assert!(!proxies.contains("192.0.2.1".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Networks(Vec<Network>);

/// RFC 1122 §3.2.1.3, RFC 4291 §2.5.3.
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];
/// RFC 1918 §3, RFC 4193 §3.1, and the link-local ones of RFC 3927 §2.1 and RFC 4291 §2.5.6.
const PRIVATE: [&str; 6] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fc00::/7",
    "169.254.0.0/16",
    "fe80::/10",
];

impl Networks {
    /// Whether one of them has `address` in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The networks in it.
    pub fn iter(&self) -> impl Iterator<Item = &Network> {
        self.0.iter()
    }
}

impl FromIterator<Network> for Networks {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

impl FromStr for Networks {
    type Err = NetworksError;

    /// Reads networks with commas or spaces between them. `loopback` and `private` stand for the ones of these kinds.
    fn from_str(text: &str) -> Result<Self, NetworksError> {
        let mut networks = Vec::new();
        for word in text.split([',', ' ', '\t', '\n', '\r']) {
            let named: &[&str] = match word {
                "" => continue,
                "loopback" => &LOOPBACK,
                "private" => &PRIVATE,
                _ => &[word],
            };
            for network in named {
                networks.push(network.parse().map_err(|why| NetworksError {
                    word: word.into(),
                    why,
                })?);
            }
        }
        Ok(Self(networks))
    }
}

/// Why something is no [`Network`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum NetworkError {
    /// The address is none.
    NoAddress,
    /// What stands behind the slash is no number of bits.
    NoPrefix,
    /// The prefix is longer than the address.
    PrefixTooLong,
    /// An IPv4 address inside of IPv6 with a prefix below 96.
    MappedPrefix,
    /// The address has bits behind the prefix; the network that may have been meant.
    BitsBehindPrefix(Network),
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress => f.write_str("no IP address"),
            Self::NoPrefix => f.write_str("no number of bits behind the slash"),
            Self::PrefixTooLong => f.write_str("the prefix is longer than the address"),
            Self::MappedPrefix => {
                f.write_str("an IPv4 address inside of IPv6 takes a prefix of 96 bits or more")
            }
            Self::BitsBehindPrefix(meant) => {
                write!(f, "the address has bits behind the prefix: {meant} perhaps")
            }
        }
    }
}

impl error::Error for NetworkError {}

/// Which word of a list is no [`Network`], and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NetworksError {
    word: Box<str>,
    why: NetworkError,
}

impl NetworksError {
    /// The word.
    pub fn word(&self) -> &str {
        &self.word
    }

    /// What is wrong with it.
    pub fn why(&self) -> NetworkError {
        self.why
    }
}

impl fmt::Display for NetworksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no network: {}", self.word, self.why)
    }
}

impl error::Error for NetworksError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn rfc_4632_section_3_1_prefixes() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("192.0.2.128/25", "192.0.2.128", "192.0.2.127"),
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "2001:db8::1", "127.0.0.1"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("::1", "::1", "::2"),
            ("::ffff:10.0.0.0/104", "10.9.9.9", "::a00:1"),
        ] {
            let network: Network = network.parse().unwrap();
            assert!(network.contains(ip(inside)), "{network} {inside}");
            assert!(!network.contains(ip(outside)), "{network} {outside}");
        }
    }

    #[test]
    fn rfc_4291_section_2_5_5_2_mapped_addresses_are_ipv4() {
        let network: Network = "10.0.0.0/8".parse().unwrap();
        assert!(network.contains(ip("::ffff:10.1.1.1")));
        let all_of_v6: Network = "::/0".parse().unwrap();
        assert!(!all_of_v6.contains(ip("::ffff:10.1.1.1")));
    }

    #[test]
    fn mistakes_are_told() {
        for (text, why) in [
            ("", NetworkError::NoAddress),
            ("10.0.0/8", NetworkError::NoAddress),
            ("010.0.0.0/8", NetworkError::NoAddress),
            ("10.0.0.0/", NetworkError::NoPrefix),
            ("10.0.0.0/+8", NetworkError::NoPrefix),
            ("10.0.0.0/8/8", NetworkError::NoPrefix),
            ("10.0.0.0/256", NetworkError::NoPrefix),
            ("10.0.0.0/33", NetworkError::PrefixTooLong),
            ("::/129", NetworkError::PrefixTooLong),
            ("::ffff:1.2.3.4/95", NetworkError::MappedPrefix),
        ] {
            assert_eq!(text.parse::<Network>(), Err(why), "{text}");
        }
        let error = "loopback 10.1.2.3/8".parse::<Networks>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"10.1.2.3/8\" is no network: the address has bits behind the prefix: 10.0.0.0/8 perhaps"
        );
    }

    #[test]
    fn named_networks() {
        let networks: Networks = "loopback,private".parse().unwrap();
        for inside in ["127.0.0.1", "::1", "172.31.0.1", "192.168.1.1", "fd00::1"] {
            assert!(networks.contains(ip(inside)), "{inside}");
        }
        for outside in ["172.32.0.1", "192.0.2.1", "2001:db8::1", "::2"] {
            assert!(!networks.contains(ip(outside)), "{outside}");
        }
        assert!("".parse::<Networks>().unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_the_same(text in "[0-9a-f:./, ]{0,40}") {
            if let Ok(networks) = text.parse::<Networks>() {
                for network in networks.iter() {
                    prop_assert_eq!(network.to_string().parse(), Ok(*network));
                    prop_assert!(network.contains(network.address));
                }
            }
        }

        #[test]
        fn a_network_has_the_addresses_with_its_first_bits(
            one in any::<u128>(), other in any::<u128>(), prefix in 0_u8..=128
        ) {
            let (Ok(meant) | Err(NetworkError::BitsBehindPrefix(meant))) =
                Network::new(IpAddr::V6(one.into()), prefix)
            else {
                return Ok(());
            };
            let same = prefix == 0 || (one ^ other) >> (128 - u32::from(prefix)) == 0;
            prop_assert_eq!(meant.contains(IpAddr::V6(other.into())), same);
            prop_assert!(meant.contains(IpAddr::V6(one.into())));
        }
    }
}
