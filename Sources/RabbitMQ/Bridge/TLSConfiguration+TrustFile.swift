import AMQP

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

extension TLSConfiguration {
    /// Where Linux and macOS keep the CAs they trust; librabbitmq 0.11 looks nowhere by itself.
    private static let systemAuthorityFiles = [
        "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem",
    ]

    /// The CA file to use, which can be read.
    func trustFile() throws(AMQPError) -> String {
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
