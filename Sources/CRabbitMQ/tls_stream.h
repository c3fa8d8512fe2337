// The TLS connection inside librabbitmq's socket: found in the handshake, then read and written without blocking.
//
// librabbitmq's own calls block while they write, and refuse frames of methods that it doesn't know. As for the
// certificates, OpenSSL's functions are looked up at run time; where one is missing, librabbitmq reads and writes.
#pragma once

#include "certificate_check.h"

// What a handshake finds and sets; must last until warren_end_handshake.
typedef struct {
    const char *server_name;  // the name to send; NULL leaves it to librabbitmq
    void *connection;         // OpenSSL's SSL; NULL before the handshake
} warren_handshake;

// OpenSSL calls this at several points of the handshake. At its start, before the first message is written, the name to
// send is set.
static inline void warren_note_handshake(const void *connection, int event, int value) {
    void *(*context)(const void *) = WARREN_OPENSSL(void *, "SSL_get_SSL_CTX", const void *);
    void *(*data)(const void *, int) = WARREN_OPENSSL(void *, "SSL_CTX_get_ex_data", const void *, int);
    long (*control)(void *, int, long, void *) = WARREN_OPENSSL(long, "SSL_ctrl", void *, int, long, void *);
    (void)value;
    if (!(event & 0x10) || !context || !data || !control) return;  // SSL_CB_HANDSHAKE_START
    warren_handshake *handshake = data(context(connection), 0);
    if (!handshake) return;
    handshake->connection = (void *)connection;
    if (!handshake->server_name) return;
    // SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name
    control((void *)connection, 55, 0, (void *)handshake->server_name);
}

// Has OpenSSL fill in `handshake`, and send its name whatever librabbitmq sets. Returns 0 if OpenSSL can't be asked.
static inline int warren_begin_handshake(amqp_socket_t *socket, warren_handshake *handshake) {
    typedef void (*callback)(const void *, int, int);
    void (*set_callback)(void *, callback) = WARREN_OPENSSL(void, "SSL_CTX_set_info_callback", void *, callback);
    int (*set_data)(void *, int, void *) = WARREN_OPENSSL(int, "SSL_CTX_set_ex_data", void *, int, void *);
    void *context = amqp_ssl_socket_get_context(socket);
    if (!context || !set_callback || !set_data || !warren_openssl("SSL_get_SSL_CTX") || !warren_openssl("SSL_CTX_get_ex_data") ||
        !warren_openssl("SSL_ctrl"))
        return 0;
    if (set_data(context, 0, handshake) != 1) return 0;  // the application's own data, which librabbitmq has none of
    set_callback(context, warren_note_handshake);
    return 1;
}

// Lets OpenSSL forget `handshake`.
static inline void warren_end_handshake(amqp_socket_t *socket) {
    typedef void (*callback)(const void *, int, int);
    void (*set_callback)(void *, callback) = WARREN_OPENSSL(void, "SSL_CTX_set_info_callback", void *, callback);
    int (*set_data)(void *, int, void *) = WARREN_OPENSSL(int, "SSL_CTX_set_ex_data", void *, int, void *);
    void *context = amqp_ssl_socket_get_context(socket);
    if (context && set_callback) set_callback(context, NULL);
    if (context && set_data) set_data(context, 0, NULL);
}

// A TLS connection after its handshake, with OpenSSL's functions for it. librabbitmq frees the connection.
typedef struct {
    void *connection;
    int (*read)(void *, void *, int);
    int (*write)(void *, const void *, int);
    int (*error)(const void *, int);
    void (*forget_errors)(void);
} warren_tls_stream;

// Returns 0 if OpenSSL can't be asked.
static inline int warren_begin_stream(void *connection, warren_tls_stream *stream) {
    long (*control)(void *, int, long, void *) = WARREN_OPENSSL(long, "SSL_ctrl", void *, int, long, void *);
    stream->connection = connection;
    stream->read = WARREN_OPENSSL(int, "SSL_read", void *, void *, int);
    stream->write = WARREN_OPENSSL(int, "SSL_write", void *, const void *, int);
    stream->error = WARREN_OPENSSL(int, "SSL_get_error", const void *, int);
    stream->forget_errors = WARREN_OPENSSL(void, "ERR_clear_error", void);
    if (!connection || !control || !stream->read || !stream->write || !stream->error || !stream->forget_errors) return 0;
    // SSL_CTRL_MODE: ENABLE_PARTIAL_WRITE, ACCEPT_MOVING_WRITE_BUFFER (what waits may be copied elsewhere meanwhile),
    // AUTO_RETRY (a message of TLS's own isn't reported as missing data).
    control(connection, 33, 1 | 2 | 4, NULL);
    return 1;
}

// The outcome of a call: a count above 0, 0 if the socket isn't ready, -1 at the peer's end, -2 for any other failure.
static inline int warren_stream_outcome(const warren_tls_stream *stream, int count) {
    if (count > 0) return count;
    switch (stream->error(stream->connection, count)) {
        case 2:  // SSL_ERROR_WANT_READ
        case 3:  // SSL_ERROR_WANT_WRITE
            return 0;
        case 6: return -1;  // SSL_ERROR_ZERO_RETURN
        default: return -2;
    }
}

static inline int warren_stream_read(const warren_tls_stream *stream, void *bytes, int size) {
    stream->forget_errors();
    return warren_stream_outcome(stream, stream->read(stream->connection, bytes, size));
}

static inline int warren_stream_write(const warren_tls_stream *stream, const void *bytes, int size) {
    stream->forget_errors();
    return warren_stream_outcome(stream, stream->write(stream->connection, bytes, size));
}
