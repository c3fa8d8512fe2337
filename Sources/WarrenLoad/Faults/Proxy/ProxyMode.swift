/// What a ``FaultProxy`` does with the bytes that come to it.
enum ProxyMode: Sendable, Hashable {
    /// Passes them on.
    case pass
    /// Passes them on so much later, each way.
    case latency(Duration)
    /// Swallows them, and lets connections stand and new ones come.
    case blackHole
    /// Swallows what one side sends.
    case swallow(ProxyDirection)
    /// Resets each connection, and each new one.
    case refuse

    func swallows(_ direction: ProxyDirection) -> Bool {
        switch self {
        case .blackHole: true
        case .swallow(let swallowed): swallowed == direction
        case .pass, .latency, .refuse: false
        }
    }

    var latency: Duration {
        if case .latency(let latency) = self { latency } else { .zero }
    }
}

/// Which way bytes go.
enum ProxyDirection: Sendable, Hashable {
    case toBroker
    case toClient
}
