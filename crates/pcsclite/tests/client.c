/* A client of PC/SC, compiled against pcsc-lite's own header.
 *
 *   client checks       runs every check, prints "ok NAME" for each, ends with 1 at the first that fails
 *   client hold         connects, prints "connected", disconnects when its stdin ends
 *   client connect      prints what SCardConnect returns, and the text for it
 *   client rate COUNT   sends COUNT APDUs and prints how many a second
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <winscard.h>

static const BYTE SELECT[] = { 0x00, 0xA4, 0x04, 0x00, 0x10, 0xA0, 0x00, 0x00, 0x03, 0x96, 0x54, 0x53, 0x00, 0x00,
    0x00, 0x01, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00 };
static const BYTE VERSION[] = { 0x80, 0x04, 0x00, 0x20, 0x00 };
static const BYTE RANDOM[] = { 0x80, 0x04, 0x00, 0x49, 0x00, 0x00, 0x04, 0x41, 0x02, 0x01, 0x90, 0x00, 0x00 };

#define CHECK(name, what) do { \
        if (!(what)) { printf("FAIL %s: %s\n", name, #what); exit(1); } \
        printf("ok %s\n", name); fflush(stdout); \
    } while (0)

static SCARDCONTEXT context;
static char reader[128];

static LONG establish(void)
{
    DWORD length = sizeof reader;
    LONG rv = SCardEstablishContext(SCARD_SCOPE_SYSTEM, NULL, NULL, &context);
    if (rv == SCARD_S_SUCCESS)
        rv = SCardListReaders(context, NULL, reader, &length);
    return rv;
}

static void *cancel_soon(void *unused)
{
    (void)unused;
    for (int i = 0; i < 50; i++) {
        usleep(20000);
        SCardCancel(context);
    }
    return NULL;
}

static int checks(void)
{
    SCARDHANDLE card, other;
    DWORD active = 0, length, state, protocol, atr_length;
    BYTE answer[1024], atr[MAX_ATR_SIZE];
    char name[128];

    CHECK("null context", SCardEstablishContext(SCARD_SCOPE_SYSTEM, NULL, NULL, NULL) == SCARD_E_INVALID_PARAMETER);
    CHECK("establish", establish() == SCARD_S_SUCCESS);
    CHECK("valid", SCardIsValidContext(context) == SCARD_S_SUCCESS);
    CHECK("not valid", SCardIsValidContext(context + 999) == SCARD_E_INVALID_HANDLE);

    length = 0;
    CHECK("list: length", SCardListReaders(context, NULL, NULL, &length) == SCARD_S_SUCCESS && length > 2);
    length -= 1;
    CHECK("list: short", SCardListReaders(context, NULL, name, &length) == SCARD_E_INSUFFICIENT_BUFFER);
    CHECK("list: null length", SCardListReaders(context, NULL, name, NULL) == SCARD_E_INVALID_PARAMETER);
    CHECK("list: two ends", SCardListReaders(context, NULL, name, &length) == SCARD_S_SUCCESS
        && name[length - 1] == 0 && name[length - 2] == 0 && strlen(name) == length - 2);
    char *allocated = NULL;
    length = SCARD_AUTOALLOCATE;
    CHECK("list: allocated", SCardListReaders(context, NULL, (LPSTR)&allocated, &length) == SCARD_S_SUCCESS
        && strcmp(allocated, reader) == 0);
    CHECK("free", SCardFreeMemory(context, allocated) == SCARD_S_SUCCESS);
    CHECK("free twice", SCardFreeMemory(context, allocated) == SCARD_E_INVALID_PARAMETER);
    length = sizeof name;
    CHECK("groups", SCardListReaderGroups(context, name, &length) == SCARD_S_SUCCESS
        && strcmp(name, "SCard$DefaultReaders") == 0);

    SCARD_READERSTATE watch[2] = { { reader, NULL, SCARD_STATE_UNAWARE, 0, 0, { 0 } },
        { "\\\\?PnP?\\Notification", NULL, 0, 0, 0, { 0 } } };
    CHECK("status change: now", SCardGetStatusChange(context, 0, watch, 2) == SCARD_S_SUCCESS
        && (watch[0].dwEventState & (SCARD_STATE_PRESENT | SCARD_STATE_CHANGED))
            == (SCARD_STATE_PRESENT | SCARD_STATE_CHANGED) && watch[0].cbAtr == 17);
    watch[0].dwCurrentState = watch[0].dwEventState;
    CHECK("status change: timeout", SCardGetStatusChange(context, 100, watch, 2) == SCARD_E_TIMEOUT);
    pthread_t thread;
    pthread_create(&thread, NULL, cancel_soon, NULL);
    CHECK("status change: cancelled", SCardGetStatusChange(context, INFINITE, watch, 2) == SCARD_E_CANCELLED);
    pthread_join(thread, NULL);
    CHECK("status change: null", SCardGetStatusChange(context, 0, NULL, 1) == SCARD_E_INVALID_PARAMETER);

    CHECK("connect: null", SCardConnect(context, reader, SCARD_SHARE_SHARED, SCARD_PROTOCOL_ANY, NULL, &active)
        == SCARD_E_INVALID_PARAMETER);
    CHECK("connect: null name", SCardConnect(context, NULL, SCARD_SHARE_SHARED, SCARD_PROTOCOL_ANY, &card, &active)
        == SCARD_E_UNKNOWN_READER);
    CHECK("connect: T=0", SCardConnect(context, reader, SCARD_SHARE_SHARED, SCARD_PROTOCOL_T0, &card, &active)
        == SCARD_E_PROTO_MISMATCH);
    CHECK("connect", SCardConnect(context, reader, SCARD_SHARE_SHARED, SCARD_PROTOCOL_ANY, &card, &active)
        == SCARD_S_SUCCESS && active == SCARD_PROTOCOL_T1);
    CHECK("connect: exclusive", SCardConnect(context, reader, SCARD_SHARE_EXCLUSIVE, SCARD_PROTOCOL_T1, &other,
        &active) == SCARD_E_SHARING_VIOLATION);
    watch[0].dwCurrentState = SCARD_STATE_PRESENT;
    CHECK("status change: in use", SCardGetStatusChange(context, 0, watch, 1) == SCARD_S_SUCCESS
        && (watch[0].dwEventState & SCARD_STATE_INUSE));

    length = sizeof name;
    atr_length = sizeof atr;
    CHECK("status", SCardStatus(card, name, &length, &state, &protocol, atr, &atr_length) == SCARD_S_SUCCESS
        && strcmp(name, reader) == 0 && (state & 0xFFFF) == (SCARD_PRESENT | SCARD_POWERED | SCARD_SPECIFIC)
        && protocol == SCARD_PROTOCOL_T1 && atr_length == 17 && atr[0] == 0x3B);
    CHECK("status: nothing wanted", SCardStatus(card, NULL, NULL, NULL, NULL, NULL, NULL) == SCARD_S_SUCCESS);
    atr_length = 3;
    CHECK("status: short", SCardStatus(card, NULL, NULL, NULL, NULL, atr, &atr_length)
        == SCARD_E_INSUFFICIENT_BUFFER && atr_length == 17);

    SCARD_IO_REQUEST received = { 0, 0 };
    length = sizeof answer;
    CHECK("transmit", SCardTransmit(card, SCARD_PCI_T1, SELECT, sizeof SELECT, &received, answer, &length)
        == SCARD_S_SUCCESS && length == 9 && answer[7] == 0x90 && received.dwProtocol == SCARD_PROTOCOL_T1);
    length = 1;
    CHECK("transmit: short", SCardTransmit(card, SCARD_PCI_T1, VERSION, sizeof VERSION, NULL, answer, &length)
        == SCARD_E_INSUFFICIENT_BUFFER && length > 2);
    CHECK("transmit: null", SCardTransmit(card, SCARD_PCI_T1, NULL, 5, NULL, answer, &length)
        == SCARD_E_INVALID_PARAMETER);
    CHECK("transmit: null length", SCardTransmit(card, SCARD_PCI_T1, VERSION, sizeof VERSION, NULL, answer, NULL)
        == SCARD_E_INVALID_PARAMETER);
    CHECK("transmit: T=0", SCardTransmit(card, SCARD_PCI_T0, VERSION, sizeof VERSION, NULL, answer, &length)
        == SCARD_E_PROTO_MISMATCH);
    CHECK("transmit: raw", SCardTransmit(card, SCARD_PCI_RAW, VERSION, sizeof VERSION, NULL, answer, &length)
        == SCARD_E_PROTO_MISMATCH);
    length = sizeof answer;
    CHECK("transmit: nothing", SCardTransmit(card, SCARD_PCI_T1, VERSION, 0, NULL, answer, &length)
        == SCARD_S_SUCCESS && length == 2 && answer[0] == 0x67);
    length = sizeof answer;
    CHECK("transmit: extended", SCardTransmit(card, SCARD_PCI_T1, RANDOM, sizeof RANDOM, NULL, answer, &length)
        == SCARD_S_SUCCESS && length > 400);
    CHECK("transmit: handle", SCardTransmit(card + 999, SCARD_PCI_T1, VERSION, sizeof VERSION, NULL, answer, &length)
        == SCARD_E_INVALID_HANDLE);

    CHECK("begin", SCardBeginTransaction(card) == SCARD_S_SUCCESS);
    CHECK("end", SCardEndTransaction(card, SCARD_LEAVE_CARD) == SCARD_S_SUCCESS);
    CHECK("end: none", SCardEndTransaction(card, SCARD_LEAVE_CARD) == SCARD_E_NOT_TRANSACTED);

    DWORD returned = 9;
    CHECK("features", SCardControl(card, 0x42000000 + 3400, NULL, 0, answer, sizeof answer, &returned)
        == SCARD_S_SUCCESS && returned == 6 && answer[0] == 0x12);
    DWORD code = (DWORD)answer[2] << 24 | answer[3] << 16 | answer[4] << 8 | answer[5];
    CHECK("properties", SCardControl(card, code, NULL, 0, answer, sizeof answer, &returned) == SCARD_S_SUCCESS
        && returned == 6 && answer[0] == 0x0A);
    CHECK("control: short", SCardControl(card, code, NULL, 0, answer, 1, &returned) == SCARD_E_INSUFFICIENT_BUFFER);
    CHECK("control: unknown", SCardControl(card, 1, NULL, 0, answer, sizeof answer, NULL)
        == SCARD_E_UNSUPPORTED_FEATURE);
    length = sizeof answer;
    CHECK("attribute", SCardGetAttrib(card, 0x00090303, answer, &length) == SCARD_S_SUCCESS && length == 17);
    length = 0;
    CHECK("attribute: length", SCardGetAttrib(card, 0x00010100, NULL, &length) == SCARD_S_SUCCESS && length == 10);
    length = sizeof answer;
    CHECK("attribute: unknown", SCardGetAttrib(card, 0x12345678, answer, &length) == SCARD_E_UNSUPPORTED_FEATURE);
    CHECK("attribute: set", SCardSetAttrib(card, 0x00010100, answer, 1) == SCARD_E_UNSUPPORTED_FEATURE);

    CHECK("reconnect", SCardReconnect(card, SCARD_SHARE_EXCLUSIVE, SCARD_PROTOCOL_T1, SCARD_RESET_CARD, &active)
        == SCARD_S_SUCCESS);
    length = sizeof answer;
    CHECK("reset", SCardTransmit(card, SCARD_PCI_T1, VERSION, sizeof VERSION, NULL, answer, &length)
        == SCARD_S_SUCCESS && length == 2);
    CHECK("disconnect", SCardDisconnect(card, SCARD_UNPOWER_CARD) == SCARD_S_SUCCESS);
    CHECK("disconnect twice", SCardDisconnect(card, SCARD_LEAVE_CARD) == SCARD_E_INVALID_HANDLE);
    CHECK("release", SCardReleaseContext(context) == SCARD_S_SUCCESS);
    CHECK("release twice", SCardReleaseContext(context) == SCARD_E_INVALID_HANDLE);
    CHECK("text", strcmp(pcsc_stringify_error(SCARD_E_SHARING_VIOLATION), "Sharing violation.") == 0);
    return 0;
}

int main(int count, char **arguments)
{
    const char *verb = count > 1 ? arguments[1] : "";
    if (strcmp(verb, "checks") == 0)
        return checks();
    SCARDHANDLE card;
    DWORD active;
    LONG rv = establish();
    if (rv == SCARD_S_SUCCESS)
        rv = SCardConnect(context, reader, SCARD_SHARE_SHARED, SCARD_PROTOCOL_T1, &card, &active);
    if (strcmp(verb, "connect") == 0) {
        printf("%08lX %s\n", (unsigned long)rv, pcsc_stringify_error(rv));
        return 0;
    }
    if (rv != SCARD_S_SUCCESS)
        return 1;
    if (strcmp(verb, "hold") == 0) {
        puts("connected");
        fflush(stdout);
        while (getchar() != EOF)
            ;
        return SCardDisconnect(card, SCARD_LEAVE_CARD) != SCARD_S_SUCCESS;
    }
    if (strcmp(verb, "rate") == 0 && count > 2) {
        BYTE answer[258];
        DWORD length = sizeof answer;
        long rounds = strtol(arguments[2], NULL, 10);
        struct timespec begun, ended;
        SCardTransmit(card, SCARD_PCI_T1, SELECT, sizeof SELECT, NULL, answer, &length);
        clock_gettime(CLOCK_MONOTONIC, &begun);
        for (long i = 0; i < rounds; i++) {
            length = sizeof answer;
            rv = SCardTransmit(card, SCARD_PCI_T1, VERSION, sizeof VERSION, NULL, answer, &length);
            if (rv != SCARD_S_SUCCESS || length < 2 || answer[length - 2] != 0x90)
                return 1;
        }
        clock_gettime(CLOCK_MONOTONIC, &ended);
        double seconds = (double)(ended.tv_sec - begun.tv_sec) + (double)(ended.tv_nsec - begun.tv_nsec) / 1e9;
        printf("%.0f APDUs/s\n", (double)rounds / seconds);
        return 0;
    }
    return 2;
}
