use crate::failure::corrupt;
use lockkeeper_ports::StoreError;

/// A name that nothing else has.
pub(crate) fn name() -> Result<String, StoreError> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits).map_err(|error| corrupt("random number", error))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bits)))
}
