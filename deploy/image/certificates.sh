# Makes this stage trust the certificates of the build secret `certificates` (PEM, any number), for
# builds behind a proxy that signs for others. They do not get into the image. Without it: nothing.
set -eu

secret=/run/secrets/certificates
[ -s "$secret" ] || exit 0
# The store of the system wants a file for each.
awk -v folder=/usr/local/share/ca-certificates '
    /-----BEGIN CERTIFICATE-----/ { file = sprintf("%s/build-%03d.crt", folder, ++number) }
    file { print >file }
    /-----END CERTIFICATE-----/ { close(file); file = "" }
' "$secret"
update-ca-certificates >/dev/null 2>&1
