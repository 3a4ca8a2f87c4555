//! The command line's side. Whatever goes wrong is told in words of the agent, not of the transport.

mod flows;

use std::io::{self, ErrorKind};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use enforcer_core::policy::explain::Explanation;
use enforcer_core::suggest::Suggestions;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Streaming};

use crate::admin::MESSAGE_BYTES;
use crate::cli::registry::ServiceView;
use crate::proto::admin::admin_client::AdminClient;
use crate::proto::admin::{
    ExplainRequest, ExportRegistryRequest, GetStatusRequest, ListServicesRequest, SuggestRequest,
};
use crate::status::Status;

pub use flows::{FlowStream, Observe};

/// How long the agent may take to accept.
const CONNECT: Duration = Duration::from_secs(2);

/// How long it may take to answer; for a stream, for each message.
const ANSWER: Duration = Duration::from_secs(10);

/// Bytes of `sockaddr_un.sun_path`, without the zero behind them.
const LONGEST: usize = 107;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing is there, or nobody behind it.
    #[error("no agent answers at {}; is `enforcer run` running?", path.display())]
    NoAgent {
        /// The socket.
        path: PathBuf,
    },
    /// The socket is for its owner alone.
    #[error("permission denied at the admin socket {}; ask as the user that the agent runs as (root)", path.display())]
    Denied {
        /// The socket.
        path: PathBuf,
    },
    /// What is there is no socket, or no socket can be there.
    #[error("{} cannot be the admin socket: {what}; give the agent's own with --admin", path.display())]
    NoSocket {
        /// The path.
        path: PathBuf,
        /// Why not.
        what: String,
    },
    /// It accepts, or has the socket open, and says nothing.
    #[error(
        "the agent at {} does not answer within {} s: it hangs or is overloaded; look at its log",
        path.display(),
        within.as_secs()
    )]
    Hung {
        /// The socket.
        path: PathBuf,
        /// For how long it was waited.
        within: Duration,
    },
    /// The agent says that the question is wrong.
    #[error("{0}")]
    Refused(String),
    /// Anything else.
    #[error("asking the agent at {}: {what}", path.display())]
    Failed {
        /// The socket.
        path: PathBuf,
        /// What went wrong.
        what: String,
    },
}

/// A connection to the agent.
pub struct Client {
    inner: AdminClient<Channel>,
    path: PathBuf,
    /// [`ANSWER`], but in tests.
    patience: Duration,
}

impl Client {
    /// Connects to the socket at `path`.
    pub async fn connect(path: &Path) -> Result<Self, ClientError> {
        Self::patient(path, ANSWER).await
    }

    /// Connects, and waits for answers for as long as `patience`.
    pub(in crate::admin) async fn patient(path: &Path, patience: Duration) -> Result<Self, ClientError> {
        can_be_a_socket(path)?;
        let hung = || ClientError::Hung { path: path.to_owned(), within: CONNECT };
        let stream = timeout(CONNECT, UnixStream::connect(path)).await.map_err(|_| hung())?;
        let stream = stream.map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                ClientError::NoAgent { path: path.to_owned() }
            }
            ErrorKind::PermissionDenied => ClientError::Denied { path: path.to_owned() },
            // The queue of connections is full: nobody accepts.
            ErrorKind::WouldBlock => hung(),
            _ => failed(path, &error),
        })?;
        let mut stream = Some(stream);
        let connector = tower::service_fn(move |_| {
            let stream = stream.take().ok_or_else(|| io::Error::from(ErrorKind::NotConnected));
            std::future::ready(stream.map(TokioIo::new))
        });
        // The name is never looked up: the stream is there already.
        let endpoint = Endpoint::from_static("http://agent");
        let channel =
            timeout(CONNECT, endpoint.connect_with_connector(connector)).await.map_err(|_| hung())?;
        let inner = AdminClient::new(channel.map_err(|error| hung_up(path, &error))?)
            .max_decoding_message_size(MESSAGE_BYTES)
            .max_encoding_message_size(MESSAGE_BYTES);
        Ok(Self { inner, path: path.to_owned(), patience })
    }

    /// How the agent is.
    pub async fn status(&mut self) -> Result<Status, ClientError> {
        let answer = timeout(self.patience, self.inner.get_status(GetStatusRequest {})).await;
        let answer = self.answered(answer)?.into_inner();
        self.read(&answer.status)
    }

    /// Why `workload` may or may not reach `destination`, both as typed.
    pub async fn explain(&mut self, workload: &str, destination: &str) -> Result<Explanation, ClientError> {
        let question = ExplainRequest { workload: workload.to_owned(), destination: destination.to_owned() };
        let answer = timeout(self.patience, self.inner.explain(question)).await;
        let answer = self.answered(answer)?.into_inner();
        self.read(&answer.explanation)
    }

    /// The services that stand for `host`, or all.
    pub async fn services(&mut self, host: Option<&str>) -> Result<Vec<ServiceView>, ClientError> {
        let question = ListServicesRequest { host: host.unwrap_or_default().to_owned() };
        let answer = timeout(self.patience, self.inner.list_services(question)).await;
        let mut answer = self.answered(answer)?.into_inner();
        let mut services = Vec::new();
        while let Some(message) = self.next(&mut answer).await? {
            services.push(self.read(&message.service)?);
        }
        Ok(services)
    }

    /// The registry as JSON in the shape of `/debug/registryz`.
    pub async fn export(&mut self) -> Result<serde_json::Value, ClientError> {
        let answer = timeout(self.patience, self.inner.export_registry(ExportRegistryRequest {})).await;
        let mut answer = self.answered(answer)?.into_inner();
        let mut json = Vec::new();
        while let Some(message) = self.next(&mut answer).await? {
            json.extend(message.chunk);
        }
        self.read(&json)
    }

    /// The ServiceEntries that the flows denied so far lack, those of `namespace` or all.
    pub async fn suggest(&mut self, namespace: Option<&str>) -> Result<Suggestions, ClientError> {
        let question = SuggestRequest { namespace: namespace.unwrap_or_default().to_owned() };
        let answer = timeout(self.patience, self.inner.suggest(question)).await;
        let answer = self.answered(answer)?.into_inner();
        self.read(&answer.suggestions)
    }

    async fn next<T>(&self, stream: &mut Streaming<T>) -> Result<Option<T>, ClientError> {
        self.answered(timeout(self.patience, stream.message()).await)
    }

    fn answered<T>(
        &self,
        answer: Result<Result<T, tonic::Status>, tokio::time::error::Elapsed>,
    ) -> Result<T, ClientError> {
        let Ok(answer) = answer else {
            return Err(ClientError::Hung { path: self.path.clone(), within: self.patience });
        };
        answer.map_err(|status| match status.code() {
            Code::InvalidArgument | Code::NotFound | Code::FailedPrecondition => {
                ClientError::Refused(status.message().to_owned())
            }
            Code::Unimplemented => ClientError::Failed {
                path: self.path.clone(),
                what: "it does not know this question: it is of another version".to_owned(),
            },
            // A status with a cause is not the agent's word.
            _ => match std::error::Error::source(&status) {
                Some(cause) => hung_up(&self.path, cause),
                None => ClientError::Failed { path: self.path.clone(), what: status.message().to_owned() },
            },
        })
    }

    fn read<T: DeserializeOwned>(&self, json: &[u8]) -> Result<T, ClientError> {
        serde_json::from_slice(json).map_err(|error| ClientError::Failed {
            path: self.path.clone(),
            what: format!(
                "the answer is not as this version knows it ({error}); is the agent of another version?"
            ),
        })
    }
}

/// The kernel would say of a file that the connection is refused, as of a dead agent's socket.
fn can_be_a_socket(path: &Path) -> Result<(), ClientError> {
    let no_socket = |what: String| Err(ClientError::NoSocket { path: path.to_owned(), what });
    let bytes = path.as_os_str().len();
    if bytes > LONGEST {
        return no_socket(format!("the path has {bytes} bytes, and that of a socket at most {LONGEST}"));
    }
    match std::fs::metadata(path).map(|there| there.file_type()) {
        Ok(there) if there.is_dir() => no_socket("it is a directory".to_owned()),
        Ok(there) if !there.is_socket() => no_socket("it is a file".to_owned()),
        // Connecting says better what is wrong.
        _ => Ok(()),
    }
}

fn failed(path: &Path, error: &dyn std::error::Error) -> ClientError {
    ClientError::Failed { path: path.to_owned(), what: causes(error) }
}

fn hung_up(path: &Path, cause: &dyn std::error::Error) -> ClientError {
    let what = format!("it hung up, or is no agent ({})", causes(cause));
    ClientError::Failed { path: path.to_owned(), what }
}

fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
