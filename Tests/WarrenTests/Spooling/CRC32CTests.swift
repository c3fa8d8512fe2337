import Testing

@testable import Warren

@Suite struct CRC32CTests {
    @Test(
        arguments: [
            // RFC 3720, B.4, and the check value of the catalogue of CRCs.
            ([UInt8](repeating: 0, count: 32), 0x8A91_36AA),
            ([UInt8](repeating: 0xFF, count: 32), 0x62A8_AB43),
            ([UInt8](0..<32), 0x46DD_794E),
            ([UInt8]((0..<32).reversed()), 0x113F_DB5C),
            (Array("123456789".utf8), 0xE306_9283),
            ([], 0),
        ] as [([UInt8], UInt32)]
    ) func `The checksums are those of the standards`(bytes: [UInt8], sum: UInt32) {
        #expect(CRC32C.checksum(bytes) == sum)
    }

    @Test func `Bytes added in pieces give the same checksum`() {
        var sum = CRC32C()
        sum.update(Array("1234".utf8))
        sum.update(Array("56789".utf8))
        #expect(sum.value == 0xE306_9283)
    }
}
