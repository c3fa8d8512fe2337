/// The version of this package: what `warren --version` prints, and what the client reports to the broker.
package enum PackageVersion {
    package static let current = "0.1.0-dev"
}
