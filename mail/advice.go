package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"syscall"

	"rollcall/internal/egress"
)

// Advice says in one or two sentences what went wrong and what an administrator
// can do about it. It contains nothing of the server's reply; see Reply for
// that.
func (f *Failure) Advice() string {
	if f.Stage == StageToken {
		return f.adviceOnToken()
	}
	if f.Code != 0 {
		return f.adviceOnReply()
	}
	switch {
	case f.Concealed():
		return "No mail server could be reached at this host and port. Check both, and the encryption: 587 for STARTTLS, 465 for implicit TLS, 25 without encryption. Details aren't shown for private network addresses."
	case errors.Is(f.Err, errFrom):
		return "The From address can't be used to send email. Correct it."
	case errors.Is(f.Err, errSender):
		return "The bounce address (ROLLCALL_BOUNCE_ADDRESS) can't be used to send email. Correct it."
	case errors.Is(f.Err, errAddress):
		return "Email can't be sent to the recipient address. Correct it."
	case errors.Is(f.Err, errNoSTARTTLS):
		return "The server doesn't offer STARTTLS, so nothing was sent. Choose implicit TLS (usually port 465) or a different port."
	case errors.Is(f.Err, errNoXOAUTH2):
		return "The server doesn't offer OAuth 2 (XOAUTH2). Use the submission port (usually 587), or sign in with a password."
	case errors.Is(f.Err, errNoAuth):
		return "The server doesn't offer a supported login method (PLAIN or LOGIN). Leave the username empty if no login is needed, or use the submission port (usually 587)."
	case isOneOf[x509.HostnameError](f.Err):
		return "The server's certificate is for a different name. Use the name in the certificate as the host."
	case isOneOf[*tls.CertificateVerificationError](f.Err) || isOneOf[x509.UnknownAuthorityError](f.Err):
		return "The server's certificate isn't trusted: it has expired, or its issuer is unknown to this machine. Renew it, or install the issuer's certificate on this machine."
	case isOneOf[tls.RecordHeaderError](f.Err):
		return "The server doesn't use implicit TLS on this port. Choose STARTTLS (usually port 587), or port 465 for implicit TLS."
	case errors.Is(f.Err, egress.ErrAddress):
		return "The host resolves to an address that is blocked for outgoing email, so nothing was sent. To allow it, set ROLLCALL_SMTP_ALLOW_PRIVATE on the server."
	case isOneOf[*net.DNSError](f.Err):
		return "The host name can't be resolved. Check its spelling and this machine's DNS settings."
	case errors.Is(f.Err, syscall.ECONNREFUSED):
		return "The host refused the connection on this port. Check the port: 587 for STARTTLS, 465 for implicit TLS, 25 without encryption."
	case timedOut(f.Err):
		return "The server didn't respond in time. Check the host and port, and that your firewall allows the connection."
	case f.Stage == StageEnd:
		return "The connection was lost after the email was sent, so it may or may not have arrived. Check the inbox before you try again."
	}
	return adviceOnLoss(f.Stage)
}

func (f *Failure) adviceOnReply() string {
	switch {
	case f.Stage == StageAuth && f.Code >= 500 && f.WithToken:
		return "The server rejected the token. Check that the client may send as this mailbox: Microsoft 365 needs the service principal registered in Exchange Online and SMTP AUTH enabled for the mailbox."
	case f.Stage == StageAuth && f.Code >= 500 || f.Code == 530 || f.Code == 534 || f.Code == 535 || f.Code == 538:
		return "The server rejected the login. Check the username and password; some providers require an app password."
	case f.Stage == StageAuth:
		return "The server couldn't check the login right now. Try again in a few minutes."
	case f.Class == ServerDown && f.Configuration:
		return "The server doesn't let this account send from this From address, or doesn't accept email from this machine. Correct the From address, or allow it with your mail provider."
	case f.Enhanced == "5.4.5":
		return "The account has reached its sending limit. Wait, or ask your mail provider for a higher limit."
	case f.Systemic && f.Enhanced == "5.3.4":
		return "The server's size limit is smaller than an email. Raise it (Postfix: message_size_limit)."
	case f.Systemic:
		return "The server probably refuses every email of this account or machine, not just this recipient. Check that relaying is allowed, that a login isn't missing, and that it accepts the From address."
	case f.Throttled:
		return "The server limits how many emails it accepts. Set a lower number of emails per second, or ask your mail provider for a higher limit."
	case f.Class == Permanent:
		return "The server rejected the email permanently. Its response says why; often the recipient doesn't exist, or relaying requires a login."
	}
	return "The server asked to try again later. Invitations are retried automatically; repeat this test in a few minutes."
}

func adviceOnLoss(stage Stage) string {
	switch stage {
	case StageTLS:
		return "An encrypted connection couldn't be made. Check that the port and encryption match: 587 with STARTTLS, 465 with implicit TLS."
	case StageConnect:
		return "Can't connect to the server. Check the host and port."
	case StageHello:
		return "The server closed the connection during the greeting. Check that this is a mail server port and that the server accepts email from this machine."
	}
	return "The server closed the connection. Try again; if it happens again, check the server's log."
}

func timedOut(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}
