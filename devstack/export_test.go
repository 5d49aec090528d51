package devstack

// FindInstallations lets a test say where to look.
var FindInstallations = findInstallations
