//! Network addresses: INET, CIDR and MACADDR.
//!
//! A value of INET or CIDR is held as bytes whose order is its order: the family (4 or 6), the network's address, the
//! length of the mask, the address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::scalar::{entry, is_space, operations, wrong_kind};
use super::{Category, TypeInfo, TypeOperations, oids};
use crate::error::{Result, SqlError, SqlState};
use crate::value::{Datum, PhysicalKind};

/// The families on the wire, which are those of PostgreSQL's own.
const WIRE_IPV4: u8 = 2;
const WIRE_IPV6: u8 = 3;

/// An address with the length of its network's mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    pub address: IpAddr,
    pub mask_bits: u8,
}

impl Network {
    /// An address by itself.
    pub(crate) fn host_of(address: IpAddr) -> Network {
        Network { address, mask_bits: Network::bits_max(address) }
    }

    /// The bits of an address of a family.
    pub(crate) fn bits_max(address: IpAddr) -> u8 {
        if address.is_ipv4() { 32 } else { 128 }
    }

    /// The address as a number, in the high bits.
    fn high_bits(address: IpAddr) -> u128 {
        match address {
            IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
            IpAddr::V6(address) => address.to_bits(),
        }
    }

    fn of_high_bits(is_ipv4: bool, bits: u128) -> IpAddr {
        if is_ipv4 {
            Ipv4Addr::from_bits((bits >> 96) as u32).into()
        } else {
            Ipv6Addr::from_bits(bits).into()
        }
    }

    /// The address as a number, in the high bits.
    pub(crate) fn bits(self) -> u128 {
        Network::high_bits(self.address)
    }

    /// The mask, in the high bits.
    fn mask(self) -> u128 {
        u128::MAX.checked_shl(128 - u32::from(self.mask_bits)).unwrap_or(0)
    }

    /// The address with its bits changed; what is beyond the family's bits stays zero.
    pub(crate) fn map(self, change: impl FnOnce(u128, u128) -> u128) -> Network {
        let family =
            u128::MAX.checked_shl(128 - u32::from(Network::bits_max(self.address))).unwrap_or(u128::MAX);
        let bits = change(Network::high_bits(self.address), self.mask()) & family;
        Network { address: Network::of_high_bits(self.address.is_ipv4(), bits), ..self }
    }

    /// The network that it is in.
    pub(crate) fn network(self) -> Network {
        self.map(|bits, mask| bits & mask)
    }

    /// As a host: with a mask of all bits.
    pub(crate) fn whole(self) -> Network {
        Network::host_of(self.address)
    }

    /// Whether the first bits of both, so many, are the same.
    fn agrees(self, other: Network, mask_bits: u8) -> bool {
        let mask = Network { mask_bits, ..self }.mask();
        self.address.is_ipv4() == other.address.is_ipv4()
            && Network::high_bits(self.address) & mask == Network::high_bits(other.address) & mask
    }

    /// Whether it lies within another one, or is that.
    pub(crate) fn is_within(self, other: Network) -> bool {
        self.mask_bits >= other.mask_bits && self.agrees(other, other.mask_bits)
    }

    /// Whether one of both lies within the other.
    pub(crate) fn overlaps(self, other: Network) -> bool {
        self.agrees(other, self.mask_bits.min(other.mask_bits))
    }

    /// The smallest network that holds both, which are of one family.
    pub(crate) fn merged(self, other: Network) -> Network {
        let differing = Network::high_bits(self.address) ^ Network::high_bits(other.address);
        let common = differing.leading_zeros().min(u32::from(self.mask_bits.min(other.mask_bits)));
        Network { mask_bits: common as u8, ..self }.network()
    }

    pub(crate) fn datum(self) -> Datum {
        let mut bytes = vec![if self.address.is_ipv4() { 4 } else { 6 }];
        let length = usize::from(Network::bits_max(self.address)) / 8;
        bytes.extend(&Network::high_bits(self.network().address).to_be_bytes()[..length]);
        bytes.push(self.mask_bits);
        bytes.extend(&Network::high_bits(self.address).to_be_bytes()[..length]);
        Datum::from(bytes)
    }

    /// The network that a value is; `None` for what is none.
    pub(crate) fn of(datum: &Datum) -> Option<Network> {
        let Datum::Bytes(bytes) = datum else { return None };
        let (is_ipv4, length) = match (bytes.first()?, bytes.len()) {
            (4, 10) => (true, 4),
            (6, 34) => (false, 16),
            _ => return None,
        };
        let mut high = [0; 16];
        high[..length].copy_from_slice(&bytes[2 + length..]);
        let address = Network::of_high_bits(is_ipv4, u128::from_be_bytes(high));
        Some(Network { address, mask_bits: bytes[1 + length] })
    }

    /// The address alone; the last bits of one of IPv6 that begins with 96 zeros as one of IPv4.
    pub(crate) fn host(self) -> String {
        match self.address {
            IpAddr::V6(address) if address.to_bits() >> 32 == 0 && address.segments()[6] != 0 => {
                format!("::{}", Ipv4Addr::from_bits(address.to_bits() as u32))
            }
            address => address.to_string(),
        }
    }

    /// As INET is printed: without a mask of all bits.
    pub(crate) fn short_text(self) -> String {
        match self.mask_bits == Network::bits_max(self.address) {
            true => self.host(),
            false => self.text(),
        }
    }

    /// With its mask.
    pub(crate) fn text(self) -> String {
        format!("{}/{}", self.host(), self.mask_bits)
    }
}

fn network_of(info: &TypeInfo, datum: &Datum) -> Result<Network> {
    Network::of(datum).ok_or_else(|| wrong_kind(info))
}

/// `address[/bits]`.
fn parse(text: &str, is_cidr: bool) -> Option<Network> {
    let (address, mask_bits) = match text.split_once('/') {
        Some((address, bits)) => {
            let digits = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
            (address, Some(bits.parse::<u8>().ok().filter(|_| digits)?))
        }
        None => (text, None),
    };
    let (address, own_bits) = match address.parse::<IpAddr>() {
        Ok(address) => (address, Network::bits_max(address)),
        Err(_) if is_cidr => abbreviated(address)?,
        // As many octets as the mask fills do, if it is given.
        Err(_) => {
            let (address_bits, octets) = (mask_bits?, address.split('.').count());
            abbreviated(address).filter(|_| usize::from(address_bits) / 8 <= octets)?
        }
    };
    let mask_bits = mask_bits.unwrap_or(own_bits);
    (mask_bits <= Network::bits_max(address)).then_some(Network { address, mask_bits })
}

/// The first octets of a network of IPv4, whose mask is that of its class, or as many bits as are given.
fn abbreviated(text: &str) -> Option<(IpAddr, u8)> {
    let mut octets = [0; 4];
    let mut count = 0;
    for part in text.split('.') {
        let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        *octets.get_mut(count)? = part.parse::<u8>().ok().filter(|_| is_number)?;
        count += 1;
    }
    let class_bits = match octets[0] {
        240.. => 32,
        224.. => 8,
        192.. => 24,
        128.. => 16,
        _ => 8,
    };
    Some((Ipv4Addr::from(octets).into(), class_bits.max(8 * count as u8)))
}

fn parse_network(info: &TypeInfo, text: &str) -> Result<Datum> {
    let is_cidr = info.oid == oids::CIDR;
    let network = parse(text, is_cidr).ok_or_else(|| SqlError::invalid_input(&info.name, text))?;
    if is_cidr && network.network() != network {
        let message = format!("invalid cidr value: \"{text}\"");
        return Err(SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
            .with_detail("Value has bits set to right of mask."));
    }
    Ok(network.datum())
}

/// The wire's form: family, bits of the mask, whether it is a CIDR, length of the address, the address.
fn read_network(info: &TypeInfo, bytes: &[u8]) -> Result<Datum> {
    let invalid =
        |what: &str| SqlError::invalid_binary(format!("invalid {what} in external \"{}\" value", info.name));
    let [family, mask_bits, _, length, address @ ..] = bytes else { return Err(invalid("length")) };
    let address: IpAddr = match (*family, address.len()) {
        (WIRE_IPV4, 4) => <[u8; 4]>::try_from(address).map(IpAddr::from).map_err(|_| invalid("length"))?,
        (WIRE_IPV6, 16) => <[u8; 16]>::try_from(address).map(IpAddr::from).map_err(|_| invalid("length"))?,
        (WIRE_IPV4 | WIRE_IPV6, _) => return Err(invalid("length")),
        _ => return Err(invalid("address family")),
    };
    if usize::from(*length) != usize::from(Network::bits_max(address)) / 8 {
        return Err(invalid("length"));
    }
    let network = Network { address, mask_bits: *mask_bits };
    if *mask_bits > Network::bits_max(address) {
        return Err(invalid("bits"));
    }
    if info.oid == oids::CIDR && network.network() != network {
        return Err(SqlError::invalid_binary("invalid external \"cidr\" value")
            .with_detail("Value has bits set to right of mask."));
    }
    Ok(network.datum())
}

fn write_network(info: &TypeInfo, datum: &Datum, out: &mut Vec<u8>) -> Result<()> {
    let network = network_of(info, datum)?;
    let is_cidr = u8::from(info.oid == oids::CIDR);
    match network.address {
        IpAddr::V4(address) => {
            out.extend([WIRE_IPV4, network.mask_bits, is_cidr, 4]);
            out.extend(address.octets());
        }
        IpAddr::V6(address) => {
            out.extend([WIRE_IPV6, network.mask_bits, is_cidr, 16]);
            out.extend(address.octets());
        }
    }
    Ok(())
}

const NETWORK: TypeOperations = operations(
    |info, text, _, _| parse_network(info, text),
    |info, datum, out, _| {
        let network = network_of(info, datum)?;
        out.push_str(&if info.oid == oids::CIDR { network.text() } else { network.short_text() });
        Ok(())
    },
    |info, bytes, _, _| read_network(info, bytes),
    |info, datum, out, _| write_network(info, datum, out),
);

/// Twelve hexadecimal digits, in groups of two, four or six with one separator between them, or in one.
fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let groups: Vec<&str> = text.split([':', '-', '.']).collect();
    let separators: Vec<char> = text.chars().filter(|found| matches!(found, ':' | '-' | '.')).collect();
    let fits = match groups.len() {
        6 => separators.iter().all(|found| matches!(found, ':' | '-')),
        3 => separators.iter().all(|found| matches!(found, '.' | '-')),
        2 => separators.iter().all(|found| matches!(found, ':' | '-')),
        1 => true,
        _ => false,
    };
    let width = 12 / groups.len();
    let alike = separators.windows(2).all(|pair| pair[0] == pair[1]);
    let is_group = |group: &&str| {
        let shorter = groups.len() == 6 && group.len() == 1;
        (group.len() == width || shorter) && group.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    if !fits || !alike || !groups.iter().all(is_group) {
        return None;
    }
    let digits: String = groups.iter().map(|group| format!("{group:0>width$}")).collect();
    let number = u64::from_str_radix(&digits, 16).ok()?;
    number.to_be_bytes()[2..].try_into().ok()
}

fn octets<'a>(info: &TypeInfo, datum: &'a Datum) -> Result<&'a [u8]> {
    match datum {
        Datum::Bytes(bytes) => Ok(bytes),
        _ => Err(wrong_kind(info)),
    }
}

const MAC: TypeOperations = operations(
    |info, text, _, _| {
        let octets = parse_mac(text.trim()).ok_or_else(|| SqlError::invalid_input(&info.name, text))?;
        Ok(Datum::from(octets.to_vec()))
    },
    |info, datum, out, _| {
        let digits: Vec<String> = octets(info, datum)?.iter().map(|octet| format!("{octet:02x}")).collect();
        out.push_str(&digits.join(":"));
        Ok(())
    },
    |_, bytes, _, _| match bytes.len() {
        6 => Ok(Datum::from(bytes.to_vec())),
        _ => Err(SqlError::invalid_binary("incorrect binary data format")),
    },
    |info, datum, out, _| {
        out.extend_from_slice(octets(info, datum)?);
        Ok(())
    },
);

/// Six or eight pairs of hexadecimal digits, with one separator between any of them; six get FF:FE into their middle.
fn parse_mac8(text: &str) -> Option<[u8; 8]> {
    let mut rest = text.trim_start_matches(is_space).trim_end_matches(is_space).as_bytes();
    let (mut octets, mut count, mut separator) = ([0u8; 8], 0usize, None);
    while let [high, low, after @ ..] = rest {
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *octets.get_mut(count)? = digit(high)? << 4 | digit(low)?;
        count += 1;
        rest = after;
        if let [found @ (b':' | b'-' | b'.'), after @ ..] = rest {
            if separator.is_some_and(|known| known != *found) {
                return None;
            }
            separator = Some(*found);
            rest = after;
        }
    }
    match count {
        8 if rest.is_empty() => Some(octets),
        6 if rest.is_empty() => octets[..6].try_into().ok().map(widened),
        _ => None,
    }
}

/// An address of six octets as one of eight.
pub(crate) fn widened([a, b, c, d, e, f]: [u8; 6]) -> [u8; 8] {
    [a, b, c, 0xff, 0xfe, d, e, f]
}

const MAC8: TypeOperations = operations(
    |info, text, _, _| {
        let octets = parse_mac8(text).ok_or_else(|| SqlError::invalid_input(&info.name, text))?;
        Ok(Datum::from(octets.to_vec()))
    },
    MAC.print_text,
    |_, bytes, _, _| match (<[u8; 6]>::try_from(bytes), bytes.len()) {
        (Ok(octets), _) => Ok(Datum::from(widened(octets).to_vec())),
        (_, 8) => Ok(Datum::from(bytes.to_vec())),
        _ => Err(SqlError::invalid_binary("incorrect binary data format")),
    },
    MAC.write_binary,
);

pub(super) fn types() -> Vec<TypeInfo> {
    const KIND: PhysicalKind = PhysicalKind::Bytes;
    let network = Category::Network;
    vec![
        entry(oids::INET, oids::INET_ARRAY, "inet", "inet", network, true, -1, KIND, NETWORK),
        entry(oids::CIDR, oids::CIDR_ARRAY, "cidr", "cidr", network, false, -1, KIND, NETWORK),
        entry(
            oids::MACADDR,
            oids::MACADDR_ARRAY,
            "macaddr",
            "macaddr",
            Category::UserDefined,
            false,
            6,
            KIND,
            MAC,
        ),
        entry(
            oids::MACADDR8,
            oids::MACADDR8_ARRAY,
            "macaddr8",
            "macaddr8",
            Category::UserDefined,
            false,
            8,
            KIND,
            MAC8,
        ),
    ]
}
