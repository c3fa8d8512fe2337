import Foundation
import Subprocess
import TestSupport
import Testing

#if canImport(System)
import System
#else
import SystemPackage
#endif

/// Certificates good and bad in a folder of one test's own, made with openssl.
struct TestCertificates {
    let folder: URL

    /// Runs `body` with new certificates, and deletes them afterwards, also when `body` throws.
    static func with<Value: Sendable>(_ body: (TestCertificates) async throws -> Value) async throws -> Value {
        let folder = FileManager.default.temporaryDirectory.appending(path: TestBroker.uniqueName("certificates"))
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let result = try await Subprocess.run(
            .name("bash"),
            arguments: ["-euc", script],
            workingDirectory: FilePath(folder.path),
            output: .discarded,
            error: .string(limit: 1 << 20)
        )
        try #require(result.terminationStatus.isSuccess, "openssl failed: \(result.standardError)")
        return try await body(TestCertificates(folder: folder))
    }

    func path(_ name: String) -> String { folder.appending(path: "\(name).pem").path }
    func key(_ name: String) -> String { path("\(name)-key") }

    /// `openssl ca` alone takes dates of the past, and LibreSSL has it too.
    ///
    /// `namesake` is a second CA of the first one's name.
    private static let script = #"""
        cat >cnf <<END
        [req]
        distinguished_name = subject
        [subject]
        [authority]
        basicConstraints = critical, CA:TRUE
        subjectKeyIdentifier = hash
        [host]
        subjectAltName = DNS:localhost, IP:127.0.0.1
        [name]
        subjectAltName = DNS:localhost
        [elsewhere]
        subjectAltName = DNS:broker.example
        [client]
        extendedKeyUsage = clientAuth
        [ca]
        default_ca = own
        [own]
        database = index
        new_certs_dir = .
        default_md = sha256
        policy = any
        serial = serial
        unique_subject = no
        [any]
        commonName = supplied
        END
        : >index
        echo 01 >serial
        key() { openssl ecparam -name prime256v1 -genkey -noout -out $1-key.pem; }
        authority() {
            key $1
            openssl req -x509 -new -sha256 -key $1-key.pem -days 30 -subj "/CN=$2" -config cnf -extensions authority -out $1.pem
        }
        # name, common name, extensions, CA, from, until
        certificate() {
            key $1
            openssl req -new -sha256 -key $1-key.pem -subj "/CN=$2" -config cnf -out $1.csr
            openssl ca -batch -notext -config cnf -extensions $3 -in $1.csr -cert $4.pem -keyfile $4-key.pem \
                -startdate $5 -enddate $6 -out $1.pem
        }
        old=20200101000000Z new=20210203040500Z far=20460101000000Z further=20470101000000Z
        authority ca "Test CA"
        authority namesake "Test CA"
        authority other "Other CA"
        certificate good localhost host ca $old $far
        certificate named localhost name ca $old $far
        certificate expired localhost host ca $old $new
        certificate future localhost host ca $far $further
        certificate elsewhere broker.example elsewhere ca $old $far
        certificate replaced localhost host namesake $old $far
        certificate foreign localhost host other $old $far
        certificate client guest client ca $old $far
        certificate client-expired guest client ca $old $new
        certificate client-foreign guest client other $old $far
        key self
        openssl req -x509 -new -sha256 -key self-key.pem -days 30 -subj /CN=localhost -config cnf -extensions host -out self.pem
        openssl ec -in client-key.pem -aes128 -passout pass:secret -out encrypted-key.pem
        """#
}
