extension FieldTable {
    /// The header that a transport adds to a message of which it had to leave headers out, and whose text says why.
    ///
    /// Headers from elsewhere may be nested more deeply, or be more, than ``WireLimits/standard`` allows. Such a message is delivered all the
    /// same, with the headers that can be read, so that its reader can put it aside.
    public static let omittedHeaders = "warren-omitted-headers"
}
