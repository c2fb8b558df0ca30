use bollard::models::SystemVersion;

/// Whose engine it is that speaks the API. They differ in what they take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Dialect {
    #[default]
    Docker,
    /// Podman's compatible API: the filter of system calls by path alone, file systems in memory with a size and a mode
    /// alone, and no choice of the OCI runtime.
    Podman,
}

impl Dialect {
    pub(crate) fn of(version: &SystemVersion) -> Self {
        let mut components = version.components.iter().flatten();
        if components.any(|component| component.name == "Podman Engine") { Self::Podman } else { Self::Docker }
    }

    /// By what people call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Docker => "Docker",
            Self::Podman => "Podman",
        }
    }
}
