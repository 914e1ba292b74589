//! [`LoginFlags`]: who we are to OpenSearch, and whom we trust. Every command that talks to a cluster takes these.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Who we are to OpenSearch, and whom we trust.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "OpenSearch")]
pub struct LoginFlags {
    /// User name; also taken from the URL (https://joe@host), or from LOGHAUL_USER
    ///
    /// The password comes from the URL, from --password-file, from LOGHAUL_PASSWORD or OPENSEARCH_PASSWORD, or is asked
    /// for on a terminal. It is never shown. A password in a URL can be seen by other users of this machine.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,

    /// Take the password from the first line of this file
    ///
    /// This file, and those of --token-file and --api-key-file, are read again when the server stops accepting what
    /// they held: a secret can be changed in the middle of a long load.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,

    /// The password itself. Other users of this machine can see it: better --password-file
    #[arg(long, value_name = "PASSWORD", conflicts_with = "password_file")]
    pub password: Option<String>,

    /// Show a bearer token (JWT, OpenID Connect): the first line of this file, or LOGHAUL_TOKEN
    #[arg(long, value_name = "FILE", conflicts_with_all = ["user", "password_file", "password"])]
    pub token_file: Option<PathBuf>,

    /// Show an API key (base64 of id:key, as the server printed it): the first line of this file, or LOGHAUL_API_KEY
    #[arg(long, value_name = "FILE", conflicts_with_all = ["user", "password_file", "password", "token_file"])]
    pub api_key_file: Option<PathBuf>,

    /// Sign each request with AWS keys (Signature Version 4), as Amazon OpenSearch Service asks for
    ///
    /// The keys come from where the aws command takes them: environment, profile (SSO, roles, credential_process), web
    /// identity, container or instance. They are renewed during a long load.
    #[arg(long, conflicts_with_all = ["user", "password_file", "password", "token_file", "api_key_file"])]
    pub aws_sigv4: bool,

    /// Whose signature it is: es (a domain) or aoss (a Serverless collection). Default: what the URL says, else es
    #[arg(long, value_name = "SERVICE", value_enum)]
    pub aws_service: Option<AwsService>,

    /// The region of that service. Default: what the URL says, else AWS_REGION or the profile's
    #[arg(long, value_name = "REGION")]
    pub aws_region: Option<String>,

    /// Take AWS keys from this profile. Default: AWS_PROFILE, else default
    #[arg(long, value_name = "NAME")]
    pub aws_profile: Option<String>,

    /// Trust servers whose certificate this authority signed (PEM). Default: whom this system trusts
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub ca: Option<PathBuf>,

    /// Show this certificate to the server (PEM, with the chain behind it); needs --client-key
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub client_cert: Option<PathBuf>,

    /// The private key of --client-cert (PEM, not encrypted)
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    pub client_key: Option<PathBuf>,

    /// Trust whatever answers: anybody in between can read and change everything, passwords too. For tests
    #[arg(long)]
    pub insecure: bool,
}

/// A service of AWS that takes documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AwsService {
    /// Amazon OpenSearch Service
    Es,
    /// Amazon OpenSearch Serverless
    Aoss,
}
