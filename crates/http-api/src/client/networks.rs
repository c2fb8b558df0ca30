use ipnet::IpNet;
use std::{fmt, net::IpAddr, str::FromStr};

/// An address or a network: `10.0.0.7`, `10.0.0.0/8`, `fd00::/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

/// The text is neither an address nor a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadNetwork(String);

impl Network {
    /// Returns whether the network holds `address`, which is in its canonical form.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let network = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address.to_canonical()),
            Err(_) => text.parse().map_err(|_| BadNetwork(text.to_owned()))?,
        };
        match network {
            // `::ffff:10.0.0.0/104` is 10.0.0.0/8: addresses are compared in their canonical form.
            IpNet::V6(v6) if v6.prefix_len() >= 96 => match v6.addr().to_ipv4_mapped() {
                Some(v4) => {
                    let v4 = IpNet::new(v4.into(), v6.prefix_len() - 96).map_err(|_| BadNetwork(text.to_owned()))?;
                    Ok(Self(v4))
                }
                None => Ok(Self(network)),
            },
            _ => Ok(Self(network)),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for BadNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is neither an address as 10.0.0.7 nor a network as 10.0.0.0/8", self.0)
    }
}

impl std::error::Error for BadNetwork {}
