//! ZMTP 3.1 engine: sans-IO codec, subscription index and sockets on tokio.
