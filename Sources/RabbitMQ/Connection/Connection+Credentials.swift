import AMQP
import Logging

/// Credentials from a source: asked for before each log-in, and renewed while the connection is open.
extension Connection {
    /// The configuration for an attempt to connect now; `nil` while the source of the credentials is being asked.
    func configurationForLogIn() -> ConnectionConfiguration? {
        guard configuration.credentialsSource != nil else { return configuration }
        let (credentials, action) = renewal.logInDue(at: .now)
        perform(action)
        guard let credentials else { return nil }
        var configuration = configuration
        configuration.credentials = credentials
        return configuration
    }

    /// Performs what the renewal of the credentials asks for.
    func perform(_ action: CredentialsRenewal.Action?) {
        switch action {
        case .ask(let number): ask(number)
        case .send(let credentials): send(newSecretOf: credentials)
        case .failLogIn(let error):
            asking?.cancel()
            failed(error, endsRound: true)
        case .report(let error, let pause):
            asking?.cancel()
            logger.warning(
                "Credentials not renewed; trying again",
                metadata: [
                    LogKey.endpoint: "\(configuration.endpoint)", LogKey.error: "\(error)", LogKey.delay: "\(pause)",
                ]
            )
        case .keepForNextLogIn:
            logger.info(
                "New credentials are another user's, so the open connection keeps its own",
                metadata: [LogKey.endpoint: "\(configuration.endpoint)"]
            )
        case nil: break
        }
    }

    private func ask(_ number: Int) {
        guard let source = configuration.credentialsSource else { return }
        let endpoint = configuration.endpoint
        // Unstructured, because the source may take long and this thread may not wait. The connection's end and the
        // time limit cancel it; an answer that comes later counts for nothing.
        asking = Task { @concurrent [thread] in
            let answer: Result<Credentials, AMQPError>
            do {
                answer = .success(try await source())
            } catch {
                answer = .failure(.sourceFailed(error, endpoint))
            }
            thread.post { $0.answered(number, answer) }
        }
    }

    private func answered(_ number: Int, _ answer: Result<Credentials, AMQPError>) {
        perform(renewal.answered(number, answer, at: .now))
    }

    private func send(newSecretOf credentials: Credentials) {
        guard socket?.canUpdateSecret == true else {
            let reason = "librabbitmq can't renew the secret of an open connection over TLS, so it is replaced"
            return handleLoss(AMQPError(.connectionClosed, "The credentials are about to expire: \(reason)."))
        }
        guard let error = send(.updateSecret(credentials), channel: 0) else { return }
        perform(renewal.failedToSend(error, at: .now))
    }

    /// Handles the broker's answer to a new secret.
    func secretUpdated() {
        renewal.updated(at: .now)
        logger.debug("Credentials renewed", metadata: [LogKey.endpoint: "\(configuration.endpoint)"])
    }

    /// The broker's reply, followed by the reason why the client's credentials are out of date, if they are.
    func explained(_ reply: BrokerReply) -> BrokerReply {
        guard let failure = renewal.failure, reply.code == 403 else { return reply }
        var reply = reply
        reply.text += " (the client's credentials were not renewed: \(failure.message))"
        return reply
    }
}

extension AMQPError {
    /// The source of the credentials threw an error, whose text may hold a secret.
    fileprivate static func sourceFailed(_ error: any Error, _ endpoint: BrokerEndpoint) -> AMQPError {
        AMQPError(
            .credentialsUnavailable,
            """
            The source of the client's credentials for \(endpoint) threw an error of the type \(type(of: error)). It may hold a \
            secret, so it isn't shown here; it is the underlying error. Nothing was sent.
            """,
            underlying: error
        )
    }
}
