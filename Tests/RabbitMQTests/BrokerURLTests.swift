import AMQP
import RabbitMQ
import Testing

struct BrokerURLTests {
    @Test func `All parts of a full URL are parsed`() throws {
        let url = try BrokerURL(
            "amqp://ada:p%40ss@broker.example:5673/jobs%2Fnight?heartbeat=15&connection_timeout=2500"
        )
        #expect(url.endpoint == BrokerEndpoint(host: "broker.example", port: 5673))
        #expect(url.credentials == .plain(user: "ada", password: "p@ss"))
        #expect(url.virtualHost == "jobs/night")
        #expect(url.heartbeat == .seconds(15))
        #expect(url.connectTimeout == .milliseconds(2500))
        #expect(url.tls == nil)
    }

    @Test(arguments: ["amqp://h", "amqp://h/", "amqp://h/%2f", "amqp://h:5672/%2F"])
    func `The virtual host defaults to /`(text: String) throws {
        let url = try BrokerURL(text)
        #expect(url.virtualHost == "/")
        #expect(url.endpoint.port == 5672)
        #expect(url.credentials == .plain(user: "guest", password: "guest"))
    }

    @Test func `Amqps means TLS, another default port, and full verification`() throws {
        let url = try BrokerURL("amqps://h/?cacertfile=/ca.pem&certfile=/c.pem&keyfile=/k.pem")
        #expect(url.endpoint.port == 5671)
        #expect(
            url.tls
                == TLSConfiguration(
                    authorityFile: "/ca.pem",
                    certificateFile: "/c.pem",
                    privateKeyFile: "/k.pem",
                    verification: .full
                )
        )
        #expect(try BrokerURL("amqps://h?verify=verify_none").tls?.verification == TLSConfiguration.Verification.none)
        #expect(try BrokerURL("amqps://h?auth_mechanism=external").credentials == .external)
    }

    @Test func `An IPv6 address loses its brackets`() throws {
        #expect(try BrokerURL("amqp://[::1]:5672").endpoint == BrokerEndpoint(host: "::1", port: 5672))
    }

    @Test(arguments: [
        ("", "isn't a URL"), ("localhost:5672", "scheme"), ("http://h", "scheme"), ("amqp://", "no host"),
        ("amqp://h:99999", "port"), ("amqp://h:0", "port"), ("amqp://h/a/b", "more than one part"),
        ("amqp://h/%zz", "write '%' itself as %25"), ("amqp://ada:50%off@h", "write '%' itself as %25"),
        ("amqp://ada:a b@h", "its code"),
        ("amqp://h?heartbeat=often", "heartbeat"), ("amqp://h?hearbeat=3", "isn't known"),
        ("amqp://h?cacertfile=/ca.pem", "isn't amqps"), ("amqps://h?verify=maybe", "verify"),
        ("amqps://h?auth_mechanism=magic", "auth_mechanism"), ("amqp://h?connection_timeout=0", "connection_timeout"),
    ])
    func `An invalid URL is refused with the reason`(text: String, part: String) {
        let error = #expect(throws: AMQPError.self) { try BrokerURL(text) }
        #expect(error?.code == .invalidURL)
        #expect(error?.message.contains(part) == true)
    }

    @Test(arguments: [
        ("amqp://ada:p%E9@h", "password isn't percent-encoded UTF-8"),
        ("amqp://%ff:p@h", "user name isn't percent-encoded"),
        ("amqp://h/%ff", "virtual host isn't percent-encoded"), ("amqp://ada:p%00q@h", "zero byte"),
        ("amqp://ada:12/secret@h", "%2F"), ("amqp://ada:one/secret@h", "%2F"), ("amqp://ada:/secret@h/jobs", "%2F"),
        ("amqp://ada:12?secret@h", "%3F"), ("amqp://ada:12?secret@h=1", "%3F"), ("amqp://ada:12#secret@h", "%23"),
        ("amqp://ada:12?x9secret@h/", "%3F"), ("amqp://ada:12?x=secret@h", "%3F"), ("amqp://ada:12?secret=x@h", "%3F"),
        ("amqp://ada:one@secret?secret=x@h", "%40"), ("amqp://ada:one@secret@h", "%40"), ("amqp://h/night@jobs", "%40"),
        ("amqps://h?cacertfile=%ff", "cacertfile"),
    ])
    func `A URL that would be misread is refused, and the password isn't shown`(text: String, part: String) {
        let error = #expect(throws: AMQPError.self) { try BrokerURL(text) }
        #expect(error?.code == .invalidURL)
        #expect(error?.message.contains(part) == true)
        #expect(error?.message.contains("secret") == false)
    }

    @Test func `Marks that are escaped, and those in a parameter, are taken as they are`() throws {
        let url = try BrokerURL("amqps://a%40da:p%2Fs%3Fs%23@h/night%40jobs?cacertfile=/a@b/ca.pem")
        #expect(url.credentials == .plain(user: "a@da", password: "p/s?s#"))
        #expect(url.virtualHost == "night@jobs")
        #expect(url.tls?.authorityFile == "/a@b/ca.pem")
        #expect(try BrokerURL("amqp://:p@h").credentials == .plain(user: "", password: "p"))
    }

    @Test func `An error about a URL does not contain its password`() {
        let error = #expect(throws: AMQPError.self) { try BrokerURL("amqp://ada:secret@h:99999/x/y") }
        #expect(error?.description.contains("secret") == false)
    }

    @Test func `A list of URLs is separated by commas`() throws {
        let urls = try BrokerURL.list("amqp://ada:a,b@one:5672/jobs, amqps://two , amqp://three:5673")
        #expect(urls.map(\.endpoint.host) == ["one", "two", "three"])
        #expect(urls.map(\.endpoint.port) == [5672, 5671, 5673])
        #expect(urls[0].credentials == .plain(user: "ada", password: "a,b"))
    }

    @Test(arguments: ["", "amqp://one,", "amqp://one,two:5672", ",amqp://one"])
    func `A list that contains anything but URLs is refused`(text: String) {
        #expect(throws: AMQPError.self) { try BrokerURL.list(text) }
    }
}
