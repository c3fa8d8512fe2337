// The few functions of OpenSSL that librabbitmq doesn't pass on: why a certificate was refused, and what alert the
// broker sent.
//
// They are looked up at run time in the copy of OpenSSL that librabbitmq calls, so that none of its headers is needed.
// Each cast is to OpenSSL's own signature since 1.1.1; SSL_CTX, X509 and their like are `void` here, as only OpenSSL
// looks into them. Where a function is missing, messages are less exact, and nothing else changes.
#pragma once

#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

// Why a certificate was refused; empty texts are unknown.
typedef struct {
    int reason;           // openssl/x509_vfy.h; 0 is none
    int depth;            // 0 is the broker's own certificate, 1 that of the CA that signed it, and so on
    int issuer_is_known;  // whether the trusted CAs have one of the issuer's name
    char text[128], subject[256], issuer[256], valid_from[32], valid_until[32];
} warren_certificate_fault;

// A function of OpenSSL, or NULL.
static inline void *warren_openssl(const char *name) {
    // A process can hold two OpenSSLs, or the system's BoringSSL, with the same names: ask in librabbitmq and what it
    // was linked with.
#ifdef __APPLE__
    Dl_info place;
    if (dladdr((const void *)&amqp_ssl_socket_new, &place) == 0) return NULL;
    void *library = dlopen(place.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
#else
    // glibc's header hides dladdr and its structure from programs that don't ask for GNU's additions, so both are found
    // by hand.
    struct {
        const char *file;
        void *base;
        const char *symbol;
        void *address;
    } place = {NULL, NULL, NULL, NULL};
    int (*locate)(const void *, void *) = (int (*)(const void *, void *))dlsym(NULL, "dladdr");
    void *library = NULL;
    if (locate && locate((const void *)&amqp_ssl_socket_new, &place) != 0 && place.file)
        library = dlopen(place.file, RTLD_LAZY | RTLD_NOLOAD);
    // A program that contains librabbitmq: all libraries share one space of names here.
    if (!library) library = dlopen(NULL, RTLD_LAZY);
#endif
    void *function = library ? dlsym(library, name) : NULL;
    // Takes back one count of uses; the library stays.
    if (library) dlclose(library);
    return function;
}

#define WARREN_OPENSSL(result, name, ...) ((result(*)(__VA_ARGS__))warren_openssl(name))

static inline void warren_copy_name(char *target, int size, void *name) {
    char *(*oneline)(const void *, char *, int) = WARREN_OPENSSL(char *, "X509_NAME_oneline", const void *, char *, int);
    if (oneline && name) oneline(name, target, size);
}

static inline void warren_copy_time(char *target, size_t size, const void *time) {
    int (*to_tm)(const void *, struct tm *) = WARREN_OPENSSL(int, "ASN1_TIME_to_tm", const void *, struct tm *);
    struct tm parts;
    if (to_tm && time && to_tm(time, &parts) == 1) strftime(target, size, "%Y-%m-%d %H:%M UTC", &parts);
}

// Whether a trusted CA is called so. `store` is the check that is under way.
static inline int warren_is_trusted_name(void *store, void *name) {
    void *(*get)(void *, const void *) = WARREN_OPENSSL(void *, "X509_STORE_CTX_get1_certs", void *, const void *);
    int (*count)(const void *) = WARREN_OPENSSL(int, "OPENSSL_sk_num", const void *);
    void (*release)(void *, void (*)(void *)) = WARREN_OPENSSL(void, "OPENSSL_sk_pop_free", void *, void (*)(void *));
    void (*release_one)(void *) = WARREN_OPENSSL(void, "X509_free", void *);
    if (!get || !count || !release || !release_one || !name) return 0;
    void *certificates = get(store, name);
    int is_there = certificates && count(certificates) > 0;
    if (certificates) release(certificates, release_one);
    return is_there;
}

static inline void warren_note_fault(void *store, warren_certificate_fault *fault) {
    int (*error)(const void *) = WARREN_OPENSSL(int, "X509_STORE_CTX_get_error", const void *);
    int (*depth)(const void *) = WARREN_OPENSSL(int, "X509_STORE_CTX_get_error_depth", const void *);
    const char *(*text)(long) = WARREN_OPENSSL(const char *, "X509_verify_cert_error_string", long);
    void *(*current)(const void *) = WARREN_OPENSSL(void *, "X509_STORE_CTX_get_current_cert", const void *);
    void *(*subject)(const void *) = WARREN_OPENSSL(void *, "X509_get_subject_name", const void *);
    void *(*issuer)(const void *) = WARREN_OPENSSL(void *, "X509_get_issuer_name", const void *);
    const void *(*not_before)(const void *) = WARREN_OPENSSL(const void *, "X509_get0_notBefore", const void *);
    const void *(*not_after)(const void *) = WARREN_OPENSSL(const void *, "X509_get0_notAfter", const void *);
    fault->reason = error ? error(store) : 1;
    fault->depth = depth ? depth(store) : 0;
    if (text) snprintf(fault->text, sizeof fault->text, "%s", text(fault->reason));
    void *certificate = current ? current(store) : NULL;
    if (!certificate) return;
    if (subject) warren_copy_name(fault->subject, sizeof fault->subject, subject(certificate));
    if (not_before) warren_copy_time(fault->valid_from, sizeof fault->valid_from, not_before(certificate));
    if (not_after) warren_copy_time(fault->valid_until, sizeof fault->valid_until, not_after(certificate));
    if (!issuer) return;
    warren_copy_name(fault->issuer, sizeof fault->issuer, issuer(certificate));
    fault->issuer_is_known = warren_is_trusted_name(store, issuer(certificate));
}

// OpenSSL calls this in the handshake, on the thread that waits for it. 1 accepts the certificate.
static inline int warren_check_certificate(void *store, void *fault) {
    int (*verify)(void *) = WARREN_OPENSSL(int, "X509_verify_cert", void *);
    if (verify && verify(store) == 1) return 1;
    warren_note_fault(store, (warren_certificate_fault *)fault);
    return 0;
}

// Has OpenSSL check the broker's certificate in the handshake and note in `fault` why it was refused. librabbitmq looks
// at it only after the handshake. With `host`, which may be an IP address, that is checked as well.
//
// `fault` must last until warren_end_check. Returns 0 if OpenSSL can't be asked, 1 if the chain is checked, 2 if the
// host is too.
static inline int warren_begin_check(amqp_socket_t *socket, const char *host, warren_certificate_fault *fault) {
    typedef int (*callback)(void *, void *);
    void (*set_mode)(void *, int, void *) = WARREN_OPENSSL(void, "SSL_CTX_set_verify", void *, int, void *);
    void (*set_callback)(void *, callback, void *) =
        WARREN_OPENSSL(void, "SSL_CTX_set_cert_verify_callback", void *, callback, void *);
    void *(*parameters)(void *) = WARREN_OPENSSL(void *, "SSL_CTX_get0_param", void *);
    int (*set_host)(void *, const char *, size_t) =
        WARREN_OPENSSL(int, "X509_VERIFY_PARAM_set1_host", void *, const char *, size_t);
    void (*set_flags)(void *, unsigned int) = WARREN_OPENSSL(void, "X509_VERIFY_PARAM_set_hostflags", void *, unsigned int);
    int (*set_address)(void *, const char *) = WARREN_OPENSSL(int, "X509_VERIFY_PARAM_set1_ip_asc", void *, const char *);
    void *context = amqp_ssl_socket_get_context(socket);
    if (!context || !set_mode || !set_callback || !warren_openssl("X509_verify_cert")) return 0;
    memset(fault, 0, sizeof *fault);
    set_mode(context, 1, NULL);  // SSL_VERIFY_PEER
    set_callback(context, warren_check_certificate, fault);
    if (!host || !parameters || !set_host || !set_flags || !set_address) return 1;
    set_flags(parameters(context), 4);  // X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, as librabbitmq has it
    if (set_address(parameters(context), host) == 1) return 2;
    return set_host(parameters(context), host, 0) == 1 ? 2 : 1;
}

// Lets OpenSSL forget `fault`.
static inline void warren_end_check(amqp_socket_t *socket) {
    typedef int (*callback)(void *, void *);
    void (*set_callback)(void *, callback, void *) =
        WARREN_OPENSSL(void, "SSL_CTX_set_cert_verify_callback", void *, callback, void *);
    void *context = amqp_ssl_socket_get_context(socket);
    if (context && set_callback) set_callback(context, NULL, NULL);
}

// The last of the faults that OpenSSL noted on this thread; 0 is none.
static inline unsigned long warren_last_tls_fault(void) {
    unsigned long (*peek)(void) = WARREN_OPENSSL(unsigned long, "ERR_peek_last_error", void);
    return peek ? peek() : 0;
}

static inline const char *warren_tls_fault_text(unsigned long fault) {
    const char *(*text)(unsigned long) = WARREN_OPENSSL(const char *, "ERR_reason_error_string", unsigned long);
    return text ? text(fault) : NULL;
}

static inline void warren_forget_tls_faults(void) {
    void (*forget)(void) = WARREN_OPENSSL(void, "ERR_clear_error", void);
    if (forget) forget();
}
