import AMQP
import CRabbitMQ

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

extension BrokerSocket {
    /// Opens the socket, with TLS where asked for.
    func openSocket(_ configuration: ConnectionConfiguration) throws(AMQPError) {
        let endpoint = configuration.endpoint
        let socket: OpaquePointer?
        if let tls = configuration.tls {
            unsafe socket = unsafe amqp_ssl_socket_new(state)
            guard let socket = unsafe socket else { throw Self.noMemory(endpoint) }
            try unsafe configure(socket, tls, endpoint: endpoint)
        } else {
            unsafe socket = unsafe amqp_tcp_socket_new(state)
        }
        guard let socket = unsafe socket else { throw Self.noMemory(endpoint) }
        var timeout = timeval(configuration.connectTimeout)
        let status = unsafe amqp_socket_open_noblock(socket, endpoint.host, Int32(endpoint.port), &timeout)
        guard status != AMQP_STATUS_OK.rawValue else { return }
        throw Self.openError(status, endpoint: endpoint, usesTLS: configuration.tls != nil)
    }

    /// Logs in and opens the virtual host.
    func logIn(_ configuration: ConnectionConfiguration) throws(AMQPError) {
        var timeout = timeval(configuration.connectTimeout)
        unsafe amqp_set_handshake_timeout(state, &timeout)
        var arena = EncodingArena()
        var properties = unsafe arena.table(configuration.clientProperties)
        let heartbeat = Int32(configuration.heartbeat.components.seconds)
        let frameSize = Int32(ConnectionConfiguration.frameSize)
        let reply =
            switch configuration.credentials {
            case .plain(let user, let password):
                unsafe warren_login_plain(
                    state,
                    configuration.virtualHost,
                    2047,
                    frameSize,
                    heartbeat,
                    &properties,
                    user,
                    password
                )
            case .external:
                unsafe warren_login_external(
                    state,
                    configuration.virtualHost,
                    2047,
                    frameSize,
                    heartbeat,
                    &properties
                )
            }
        // After log-in nothing may wait in the library without a limit of ours.
        switch unsafe reply.reply_type {
        case AMQP_RESPONSE_NORMAL:
            return
        case AMQP_RESPONSE_SERVER_EXCEPTION:
            guard
                case .connectionClose(let reply) = unsafe InboundMethod(copying: reply.reply)
            else { throw Self.closedAtLogIn(configuration, "an answer that is no refusal") }
            throw .refusedAtLogIn(reply, configuration)
        default:
            throw unsafe Self.closedAtLogIn(configuration, Self.text(of: reply.library_error))
        }
    }

    private func configure(
        _ socket: OpaquePointer,
        _ tls: TLSConfiguration,
        endpoint: BrokerEndpoint
    ) throws(AMQPError) {
        let trustFile = try tls.trustFile()
        try checkTLS(unsafe amqp_ssl_socket_set_cacert(socket, trustFile), "the CA file '\(trustFile)'", endpoint)
        if let certificate = tls.certificateFile, let key = tls.privateKeyFile {
            try checkTLS(
                unsafe amqp_ssl_socket_set_key(socket, certificate, key),
                "the client certificate '\(certificate)' with the key '\(key)'",
                endpoint
            )
        }
        unsafe amqp_ssl_socket_set_verify_peer(socket, tls.verification == .none ? 0 : 1)
        unsafe amqp_ssl_socket_set_verify_hostname(socket, tls.verification == .full ? 1 : 0)
        try checkTLS(
            unsafe amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST),
            "TLS 1.2 or later",
            endpoint
        )
    }

    private func checkTLS(_ status: Int32, _ what: String, _ endpoint: BrokerEndpoint) throws(AMQPError) {
        guard status != AMQP_STATUS_OK.rawValue else { return }
        throw AMQPError(.tlsFailed, "The connection to \(endpoint) can't use \(what): \(Self.text(of: status)).")
    }

    private static func noMemory(_ endpoint: BrokerEndpoint) -> AMQPError {
        AMQPError(.connectionFailed, "There is no memory for a socket to \(endpoint).")
    }

    private static func openError(_ status: Int32, endpoint: BrokerEndpoint, usesTLS: Bool) -> AMQPError {
        let text = text(of: status)
        switch status {
        case AMQP_STATUS_HOSTNAME_RESOLUTION_FAILED.rawValue:
            return AMQPError(
                .connectionFailed,
                "The host name '\(endpoint.host)' can't be resolved: check the broker's URL."
            )
        case AMQP_STATUS_SSL_HOSTNAME_VERIFY_FAILED.rawValue:
            return AMQPError(
                .tlsFailed,
                "The certificate of \(endpoint) isn't for the host '\(endpoint.host)': connect by a name it holds."
            )
        case AMQP_STATUS_SSL_PEER_VERIFY_FAILED.rawValue:
            return AMQPError(
                .tlsFailed,
                "The certificate of \(endpoint) isn't signed by a CA of the CA file: \(text)."
            )
        case AMQP_STATUS_SSL_CONNECTION_FAILED.rawValue, AMQP_STATUS_SSL_ERROR.rawValue:
            return AMQPError(
                .tlsFailed,
                """
                The TLS handshake with \(endpoint) failed. Either the port doesn't speak TLS (then the URL begins with amqp://), \
                or the broker's certificate was refused (then check the CA file).
                """
            )
        default:
            return AMQPError(
                .connectionFailed,
                "Nothing answers at \(endpoint)\(usesTLS ? " (TLS)" : ""): \(text). Is the broker running, and is the address right?"
            )
        }
    }

    private static func closedAtLogIn(_ configuration: ConnectionConfiguration, _ reason: String) -> AMQPError {
        let hint =
            configuration.tls == nil
            ? "If the port speaks TLS, the URL must begin with amqps://."
            : "Check that the port is RabbitMQ's AMQP port."
        return AMQPError(
            .connectionFailed,
            "\(configuration.endpoint) ended the connection before log-in: \(reason). \(hint)"
        )
    }
}

extension AMQPError {
    /// The broker's refusal at log-in, by its reply.
    static func refusedAtLogIn(_ reply: BrokerReply, _ configuration: ConnectionConfiguration) -> AMQPError {
        let endpoint = configuration.endpoint
        return switch reply.code {
        case 403:
            AMQPError(
                .authenticationFailed,
                "\(endpoint) refuses \(configuration.credentials): check user and password.",
                reply: reply
            )
        case 530 where reply.text.contains("vhost"):
            AMQPError(
                .virtualHostRefused,
                """
                \(endpoint) has no virtual host '\(configuration.virtualHost)', or \(configuration.credentials) may not use it: \
                create it with 'rabbitmqctl add_vhost', or grant it with 'rabbitmqctl set_permissions'.
                """,
                reply: reply
            )
        default:
            AMQPError(
                .connectionFailed,
                "\(endpoint) refuses the connection: \(reply.text) (\(reply.code)).",
                reply: reply
            )
        }
    }
}

extension timeval {
    /// A duration as C takes it.
    init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        self.init(tv_sec: Int(seconds), tv_usec: suseconds_t(attoseconds / 1_000_000_000_000))
    }
}
