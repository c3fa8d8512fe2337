import Subprocess
import Testing

/// A listener that speaks TLS and no AMQP: `openssl s_server`, for what is decided in the handshake.
enum TLSListener {
    /// Runs `body` with the port of a listener that has the certificate called `name`, and ends it afterwards, also
    /// when `body` throws.
    static func run<Value: Sendable>(
        _ name: String,
        of certificates: TestCertificates,
        options: [String] = [],
        _ body: (UInt16) async throws -> Value
    ) async throws -> Value {
        let arguments =
            ["s_server", "-www", "-accept", "127.0.0.1:0"]
            + ["-cert", certificates.path(name), "-key", certificates.key(name)] + options
        let run = try await Subprocess.run(
            .name("openssl"),
            arguments: Arguments(arguments),
            input: .none,
            output: .sequence,
            error: .discarded
        ) { execution in
            let result: Result<Value, any Error>
            do {
                result = .success(try await body(try await port(execution.standardOutput)))
            } catch {
                result = .failure(error)
            }
            try execution.send(signal: .kill)
            return result
        }
        return try run.closureResult.get()
    }

    /// The port, which the listener says as `ACCEPT 127.0.0.1:40123`.
    private static func port(_ output: SubprocessOutputSequence) async throws -> UInt16 {
        for try await line in output.strings() {
            guard line.hasPrefix("ACCEPT"), let port = line.split(separator: ":").last else { continue }
            return try #require(UInt16(port.filter(\.isNumber)))
        }
        try #require(Bool(false), "openssl s_server ended")
        throw CancellationError()
    }
}
