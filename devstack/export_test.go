package devstack

// FindInstallations lets a test say where to look.
var FindInstallations = findInstallations

// Decode decodes a mail as it was received.
func Decode(raw []byte) Captured { return decodeMail(mailHead{}, raw) }
