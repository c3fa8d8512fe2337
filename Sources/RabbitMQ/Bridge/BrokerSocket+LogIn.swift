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
        let socket = unsafe configuration.tls == nil ? amqp_tcp_socket_new(state) : amqp_ssl_socket_new(state)
        guard let socket = unsafe socket else { throw Self.noMemory(endpoint) }
        if let tls = configuration.tls {
            try unsafe openWithTLS(socket, tls, configuration)
        } else {
            let status = unsafe Self.open(socket, configuration)
            if status != AMQP_STATUS_OK.rawValue { throw Self.openError(status, endpoint, nil) }
        }
    }

    private func openWithTLS(
        _ socket: OpaquePointer,
        _ tls: TLSConfiguration,
        _ configuration: ConnectionConfiguration
    ) throws(AMQPError) {
        let endpoint = configuration.endpoint
        let trustFile = try unsafe configure(socket, tls, endpoint)
        let check = unsafe CertificateCheck(socket, tls, host: endpoint.host)
        TLSFault.clear()
        let status = unsafe Self.open(socket, configuration)
        let fault = check.end()
        guard status != AMQP_STATUS_OK.rawValue else { return }
        if let fault { throw AMQPError(.tlsFailed, fault.message(endpoint, authorityFile: trustFile)) }
        throw Self.openError(status, endpoint, tls)
    }

    private static func open(_ socket: OpaquePointer, _ configuration: ConnectionConfiguration) -> Int32 {
        let endpoint = configuration.endpoint
        var timeout = timeval(configuration.connectTimeout)
        return unsafe amqp_socket_open_noblock(socket, endpoint.host, Int32(endpoint.port), &timeout)
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
        switch unsafe reply.reply_type {
        case AMQP_RESPONSE_NORMAL:
            return
        case AMQP_RESPONSE_SERVER_EXCEPTION:
            guard
                case .connectionClose(let reply) = unsafe InboundMethod(copying: reply.reply)
            else { throw Self.closedAtLogIn(configuration, "an answer that is no refusal") }
            throw .refusedAtLogIn(reply, configuration)
        default:
            // With TLS 1.3 the broker judges the client's certificate when the handshake is over for us.
            if let tls = configuration.tls, let fault = TLSFault.last, fault.reason.isAlert {
                throw AMQPError(.tlsFailed, fault.message(configuration.endpoint, tls))
            }
            throw unsafe Self.closedAtLogIn(configuration, Self.text(of: reply.library_error))
        }
    }

    /// Sets what TLS needs; returns the CA file in use.
    private func configure(
        _ socket: OpaquePointer,
        _ tls: TLSConfiguration,
        _ endpoint: BrokerEndpoint
    ) throws(AMQPError) -> String {
        let trustFile = try tls.trustFile()
        TLSFault.clear()
        try checkTLS(unsafe amqp_ssl_socket_set_cacert(socket, trustFile), "the CA file '\(trustFile)'", endpoint)
        if let certificate = tls.certificateFile, let key = tls.privateKeyFile {
            // Without a password of ours OpenSSL would ask the terminal for that of an encrypted key.
            unsafe UnsafeRawPointer(StaticString("").utf8Start).withMemoryRebound(to: CChar.self, capacity: 1) {
                unsafe amqp_ssl_socket_set_key_passwd(socket, $0)
            }
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
        return trustFile
    }

    private func checkTLS(_ status: Int32, _ what: String, _ endpoint: BrokerEndpoint) throws(AMQPError) {
        guard status != AMQP_STATUS_OK.rawValue else { return }
        let reason = TLSFault.last?.text ?? Self.text(of: status)
        throw AMQPError(
            .tlsFailed,
            "The connection to \(endpoint) can't use \(what): \(reason). Files must be PEM, a key unencrypted and the certificate's own."
        )
    }

    private static func noMemory(_ endpoint: BrokerEndpoint) -> AMQPError {
        AMQPError(.connectionFailed, "There is no memory for a socket to \(endpoint).")
    }

    /// What librabbitmq says when the handshake itself failed, for whatever reason.
    private static let tlsFailures = [AMQP_STATUS_SSL_CONNECTION_FAILED.rawValue, AMQP_STATUS_SSL_ERROR.rawValue]

    private static func openError(_ status: Int32, _ endpoint: BrokerEndpoint, _ tls: TLSConfiguration?) -> AMQPError {
        let text = text(of: status)
        if let tls, let fault = TLSFault.last, tlsFailures.contains(status) {
            return AMQPError(.tlsFailed, fault.message(endpoint, tls))
        }
        switch status {
        case AMQP_STATUS_HOSTNAME_RESOLUTION_FAILED.rawValue:
            return AMQPError(
                .connectionFailed,
                "The host name '\(endpoint.host)' can't be resolved: check the broker's URL."
            )
        case AMQP_STATUS_SSL_HOSTNAME_VERIFY_FAILED.rawValue:
            return AMQPError(
                .tlsFailed,
                """
                The certificate of \(endpoint) isn't for the host '\(endpoint.host)': connect by a name that it holds\
                \(endpoint.host.isIPAddress ? ", as this copy of librabbitmq checks no IP addresses" : "").
                """
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
                "Nothing answers at \(endpoint)\(tls == nil ? "" : " (TLS)"): \(text). Is the broker running, and is the address right?"
            )
        }
    }

    private static func closedAtLogIn(_ configuration: ConnectionConfiguration, _ reason: String) -> AMQPError {
        let hint =
            switch configuration.tls {
            case nil: "If the port speaks TLS, the URL must begin with amqps://."
            case let tls? where tls.certificateFile == nil:
                "Check that the port is RabbitMQ's AMQP port; if the broker wants a client certificate, name one with certfile and keyfile."
            case _?:
                "Check that the port is RabbitMQ's AMQP port; if the broker refuses the client certificate, its log says why."
            }
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

extension TLSConfiguration {
    /// Where Linux and macOS keep the CAs they trust; librabbitmq 0.11 looks nowhere by itself.
    private static let systemAuthorityFiles = [
        "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem",
    ]

    /// The CA file to use, which can be read.
    fileprivate func trustFile() throws(AMQPError) -> String {
        let candidates = authorityFile.map { [$0] } ?? Self.systemAuthorityFiles
        guard let file = candidates.first(where: { unsafe access($0, R_OK) == 0 }) else {
            throw AMQPError(
                .tlsFailed,
                "No CA file can be read (\(candidates.joined(separator: ", "))): name one with authorityFile."
            )
        }
        return file
    }
}
