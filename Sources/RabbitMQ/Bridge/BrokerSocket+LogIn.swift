import AMQP
import CRabbitMQ

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

extension BrokerSocket {
    /// Opens the socket, with TLS if the configuration has it, and returns its bytes.
    ///
    /// Returns `nil` if only librabbitmq can read and write them.
    func openSocket(_ configuration: ConnectionConfiguration) throws(AMQPError) -> ByteStream? {
        let endpoint = configuration.endpoint
        let socket = unsafe configuration.tls == nil ? amqp_tcp_socket_new(state) : amqp_ssl_socket_new(state)
        guard let socket = unsafe socket else { throw Self.noMemory(endpoint) }
        let addresses = configuration.resolve(endpoint)
        guard !addresses.isEmpty else {
            throw Self.openError(AMQP_STATUS_HOSTNAME_RESOLUTION_FAILED.rawValue, endpoint, configuration.tls)
        }
        if let tls = configuration.tls {
            return try unsafe openWithTLS(socket, tls, addresses, configuration)
        } else {
            return try unsafe openPlain(socket, addresses, configuration)
        }
    }

    private func openPlain(
        _ socket: OpaquePointer,
        _ addresses: [HostAddress],
        _ configuration: ConnectionConfiguration
    ) throws(AMQPError) -> ByteStream {
        var failures: [String] = []
        let descriptor = HostAddress.tryEach(addresses, within: configuration.connectTimeout) { address, limit in
            switch address.connect(within: limit) {
            case .success(let descriptor): return descriptor
            case .failure(let error):
                failures.append(addresses.count > 1 ? "\(address.text): \(error)" : "\(error)")
                return nil
            }
        }
        guard let descriptor else {
            throw Self.nothingAnswers(at: configuration.endpoint, nil, failures.joined(separator: ", "))
        }
        unsafe amqp_tcp_socket_set_sockfd(socket, descriptor)
        return ByteStream(socket: descriptor)
    }

    private func openWithTLS(
        _ socket: OpaquePointer,
        _ tls: TLSConfiguration,
        _ addresses: [HostAddress],
        _ configuration: ConnectionConfiguration
    ) throws(AMQPError) -> ByteStream? {
        let endpoint = configuration.endpoint
        let trustFile = try unsafe configure(socket, tls, endpoint)
        let check = unsafe CertificateCheck(socket, tls, host: endpoint.host)
        TLSFault.clear()
        var handshake = unsafe TLSHandshake(socket)
        let triesEach = addresses.count > 1 && handshake?.send(name: endpoint.host, tls, check) == true
        let status =
            unsafe triesEach
            ? Self.openEach(socket, addresses, configuration)
            : Self.open(socket, endpoint.host, endpoint.port, configuration.connectTimeout)
        let stream = unsafe handshake.take()?.end()
        let fault = check.end()
        guard status != AMQP_STATUS_OK.rawValue else {
            guard let stream = unsafe stream, !configuration.leavesTLSToLibrary else { return nil }
            return unsafe ByteStream(stream, socket: descriptor)
        }
        if let fault { throw AMQPError(.tlsFailed, fault.message(endpoint, authorityFile: trustFile)) }
        throw Self.openError(status, endpoint, tls)
    }

    /// Tries each address until something there answers, also if it then fails at TLS.
    private static func openEach(
        _ socket: OpaquePointer,
        _ addresses: [HostAddress],
        _ configuration: ConnectionConfiguration
    ) -> Int32 {
        var status = AMQP_STATUS_TIMEOUT.rawValue
        let silent = [AMQP_STATUS_TIMEOUT, AMQP_STATUS_SOCKET_ERROR].map(\.rawValue)
        _ = HostAddress.tryEach(addresses, within: configuration.connectTimeout) { address, limit -> Int32? in
            status = unsafe open(socket, address.text, configuration.endpoint.port, limit)
            return silent.contains(status) ? nil : status
        }
        return status
    }

    private static func open(_ socket: OpaquePointer, _ host: String, _ port: UInt16, _ limit: Duration) -> Int32 {
        var timeout = timeval(limit)
        return unsafe amqp_socket_open_noblock(socket, host, Int32(port), &timeout)
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
            switch configuration.credentials.mechanism {
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
                case .connectionClose(let reply, _) = unsafe InboundMethod(copying: reply.reply)
            else { throw Self.closedAtLogIn(configuration, "an unexpected answer") }
            throw .refusedAtLogIn(reply, configuration)
        default:
            // With TLS 1.3 the broker checks the client's certificate after the client has finished the handshake.
            if let tls = configuration.tls, let fault = TLSFault.last, fault.reason.isAlert {
                throw AMQPError(.tlsFailed, fault.message(configuration.endpoint, tls))
            }
            throw unsafe Self.closedAtLogIn(configuration, Self.text(of: reply.library_error))
        }
    }

    /// Sets TLS up on a socket, and returns the CA file in use.
    private func configure(
        _ socket: OpaquePointer,
        _ tls: TLSConfiguration,
        _ endpoint: BrokerEndpoint
    ) throws(AMQPError) -> String {
        let trustFile = try tls.trustFile()
        TLSFault.clear()
        if let trustFile {
            try checkTLS(unsafe amqp_ssl_socket_set_cacert(socket, trustFile), "the CA file '\(trustFile)'", endpoint)
        }
        if let certificate = tls.certificateFile, let key = tls.privateKeyFile {
            // Without a password from here, OpenSSL would ask the terminal for that of an encrypted key.
            unsafe UnsafeRawPointer(StaticString("").utf8Start).withMemoryRebound(to: CChar.self, capacity: 1) {
                unsafe amqp_ssl_socket_set_key_passwd(socket, $0)
            }
            try checkTLS(
                unsafe amqp_ssl_socket_set_key(socket, certificate, key),
                "the client certificate '\(certificate)' with the key '\(key)'",
                endpoint
            )
        }
        unsafe amqp_ssl_socket_set_verify_peer(socket, tls.verification.checksAuthority ? 1 : 0)
        unsafe amqp_ssl_socket_set_verify_hostname(socket, tls.verification.checksHost ? 1 : 0)
        try checkTLS(
            unsafe amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST),
            "TLS 1.2 or later",
            endpoint
        )
        return trustFile ?? ""
    }

    private func checkTLS(_ status: Int32, _ item: String, _ endpoint: BrokerEndpoint) throws(AMQPError) {
        guard status != AMQP_STATUS_OK.rawValue else { return }
        let reason = TLSFault.last?.text ?? Self.text(of: status)
        throw AMQPError(
            .tlsFailed,
            "The connection to \(endpoint) can't use \(item): \(reason). Files must be in PEM form; the key must be unencrypted and belong to the certificate."
        )
    }

    private static func noMemory(_ endpoint: BrokerEndpoint) -> AMQPError {
        AMQPError(.connectionFailed, "Not enough memory for a socket to \(endpoint).")
    }

    /// The statuses with which librabbitmq reports a failed handshake, for any reason.
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
                \(endpoint.host.isIPAddress ? ", since this version of librabbitmq can't check IP addresses" : "").
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
                The TLS handshake with \(endpoint) failed. Either the port doesn't speak TLS (then use a URL that begins with \
                amqp://), or the broker's certificate was refused (then check the CA file).
                """
            )
        default: return nothingAnswers(at: endpoint, tls, text)
        }
    }

    private static func nothingAnswers(
        at endpoint: BrokerEndpoint,
        _ tls: TLSConfiguration?,
        _ reason: String
    ) -> AMQPError {
        AMQPError(
            .connectionFailed,
            "Nothing answers at \(endpoint)\(tls == nil ? "" : " (TLS)"): \(reason). Is the broker running, and is the address right?"
        )
    }

    private static func closedAtLogIn(_ configuration: ConnectionConfiguration, _ reason: String) -> AMQPError {
        let hint =
            switch configuration.tls {
            case nil: "If the port speaks TLS, the URL must begin with amqps://."
            case let tls? where tls.certificateFile == nil:
                "Check that the port is RabbitMQ's AMQP port; if the broker requires a client certificate, name one with certfile and keyfile."
            case _?:
                "Check that the port is RabbitMQ's AMQP port; if the broker refuses the client certificate, its log says why."
            }
        return AMQPError(
            .connectionFailed,
            "\(configuration.endpoint) closed the connection before log-in: \(reason). \(hint)"
        )
    }
}

extension AMQPError {
    /// The error for a broker that asks for smaller frames than AMQP allows.
    static func framesTooSmall(_ size: Int, _ endpoint: BrokerEndpoint) -> AMQPError {
        AMQPError(
            .connectionFailed,
            """
            \(endpoint) accepts frames of at most \(size) bytes, and AMQP demands at least \
            \(ConnectionConfiguration.smallestFrameSize): raise the broker's frame_max.
            """
        )
    }

    /// The error for a broker's refusal at log-in, by its reply.
    static func refusedAtLogIn(_ reply: BrokerReply, _ configuration: ConnectionConfiguration) -> AMQPError {
        let endpoint = configuration.endpoint
        return switch reply.code {
        case 403:
            AMQPError(
                .authenticationFailed,
                "\(endpoint) refuses \(configuration.credentials): check the user name and password.",
                reply: reply
            )
        case 530 where reply.text.contains("vhost"):
            AMQPError(
                .virtualHostRefused,
                """
                \(endpoint) has no virtual host '\(configuration.virtualHost)', or \(configuration.credentials) may not use it: \
                create it with 'rabbitmqctl add_vhost', or grant access with 'rabbitmqctl set_permissions'.
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
    /// A duration in C's representation.
    init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        self.init(tv_sec: Int(seconds), tv_usec: suseconds_t(attoseconds / 1_000_000_000_000))
    }
}

extension TLSConfiguration {
    /// The files in which Linux and macOS keep the CAs they trust; librabbitmq 0.11 has no default.
    private static let systemAuthorityFiles = [
        "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem",
    ]

    /// Returns the CA file to use, which is readable; `nil` if none is named and nothing is checked against it.
    fileprivate func trustFile() throws(AMQPError) -> String? {
        if authorityFile == nil && !verification.checksAuthority { return nil }
        let candidates = authorityFile.map { [$0] } ?? Self.systemAuthorityFiles
        guard let file = candidates.first(where: { unsafe access($0, R_OK) == 0 }) else {
            throw AMQPError(
                .tlsFailed,
                "No CA file can be read (tried \(candidates.joined(separator: ", "))): name one with authorityFile (cacertfile in a URL)."
            )
        }
        return file
    }
}
