//! Knows clients by JSON Web Tokens (RFC 7519), checked as RFC 8725 advises: the algorithms are those of the configuration and
//! never the token's choice, each key serves its own algorithm, issuer and audience are compared, a token has an end, and
//! what a token says of where its key is to be found is ignored.
//!
//! HS256 takes a secret of the configuration. RS256, ES256 and `EdDSA` take a JSON Web Key Set (RFC 7517), which is fetched,
//! kept, and fetched again when it is old or when a token names a key that is not in it.

mod authenticator;
mod claims;
mod config;
mod header;
mod jwks;
mod mint;

pub use authenticator::{JwtAuthenticator, SetupError};
pub use config::{Algorithm, Config};
pub use mint::{MintError, TokenRequest, mint};
