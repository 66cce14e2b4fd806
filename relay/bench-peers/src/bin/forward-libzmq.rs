//! libzmq's own forwarder, the peer to beat: `zmq_proxy` between XSUB and XPUB, with queues that never drop.

fn main() -> anyhow::Result<()> {
    let endpoints: Vec<String> = std::env::args().skip(1).collect();
    let context = zmq::Context::new();
    let (front, back) = (context.socket(zmq::XSUB)?, context.socket(zmq::XPUB)?);
    for (socket, address) in [(&front, &endpoints[0]), (&back, &endpoints[1])] {
        socket.set_sndhwm(0)?;
        socket.set_rcvhwm(0)?;
        socket.set_backlog(4096)?;
        socket.bind(&format!("tcp://{address}"))?;
    }
    Ok(zmq::proxy(&front, &back)?)
}
