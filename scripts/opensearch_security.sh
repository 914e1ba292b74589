# shellcheck shell=bash disable=SC2154
# The part of scripts/opensearch that sets up a node with the security plugin: HTTPS, users with passwords and client
# certificates. Sourced by it; uses its $dir, $cache, $version, $distribution and $java_home.
#
# The passwords are public. That is all right only because the node listens on 127.0.0.1 and holds test data.
#
#   user     password   may
#   admin    admin      everything
#   writer   writer     create apache-* indices and write to them, nothing else (not even GET /)
#   reader   reader     read apache-*
#
# A client certificate conf/certs/writer.pem (key: writer.key) stands for the user `writer`, without a password.
# conf/certs/ca.pem is the authority to trust; conf/certs/foreign.pem one that signed nothing here, and
# conf/certs/stranger.pem a client certificate by it, which the node must refuse.

# shellcheck disable=SC2034 # scripts/opensearch_node.sh uses it
security_admin=admin:admin

fetch_secure_distribution() {
    local scratch=$1 output
    local home=$scratch/opensearch-$version-security
    say "fetching the security plugin for OpenSearch $version (45 MB, once) ..."
    maven_artifact "org.opensearch.plugin:opensearch-security:$version.0:zip" "$scratch" ||
        die "could not get the security plugin for OpenSearch $version"
    cp -R "$cache/opensearch-$version" "$home" || die "could not copy OpenSearch $version below $cache (disk full?)"
    output=$(OPENSEARCH_JAVA_HOME=$java_home "$home/bin/opensearch-plugin" install --batch \
        "file://$scratch/opensearch-security-$version.0.zip" 2>&1 </dev/null) ||
        die "could not install the security plugin: $output"
}

# Lines for opensearch.yml. Paths are relative to conf/.
security_settings() {
    cat <<'YAML'
plugins.security.ssl.transport.pemcert_filepath: certs/node.pem
plugins.security.ssl.transport.pemkey_filepath: certs/node.key
plugins.security.ssl.transport.pemtrustedcas_filepath: certs/ca.pem
plugins.security.ssl.transport.enforce_hostname_verification: false
plugins.security.ssl.http.enabled: true
plugins.security.ssl.http.pemcert_filepath: certs/node.pem
plugins.security.ssl.http.pemkey_filepath: certs/node.key
plugins.security.ssl.http.pemtrustedcas_filepath: certs/ca.pem
plugins.security.ssl.http.clientauth_mode: OPTIONAL
# The files in conf/opensearch-security are loaded at the first start of the data; later changes go by the REST API.
plugins.security.allow_default_init_securityindex: true
plugins.security.authcz.admin_dn: ["CN=admin,O=loghaul test"]
plugins.security.nodes_dn: ["CN=node,O=loghaul test"]
plugins.security.restapi.roles_enabled: ["all_access"]
YAML
}

# Writes conf/opensearch-security and, once, conf/certs: clients keep trusting a node that was restarted.
configure_security() {
    local target=$dir/conf/opensearch-security name
    if [ ! -f "$dir/conf/certs/complete" ]; then make_certificates "$dir/conf/certs"; fi
    mkdir -p "$target"
    for name in allowlist.yml audit.yml whitelist.yml; do
        cp "$distribution/config/opensearch-security/$name" "$target/"
    done
    write_authentication >"$target/config.yml"
    write_users >"$target/internal_users.yml"
    write_roles >"$target/roles.yml"
    write_role_mapping >"$target/roles_mapping.yml"
    printf '_meta: {type: actiongroups, config_version: 2}\n' >"$target/action_groups.yml"
    printf '_meta: {type: tenants, config_version: 2}\n' >"$target/tenants.yml"
    printf '_meta: {type: nodesdn, config_version: 2}\n' >"$target/nodes_dn.yml"
}

make_certificates() {
    local certs=$1 client='basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n'
    local node='basicConstraints=CA:FALSE\nkeyUsage=digitalSignature,keyEncipherment\n'
    node+='extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n'
    need openssl "It makes the certificates. Install it: $(install_command openssl)"
    rm -rf "$certs"
    mkdir -p "$certs"
    authority "$certs/ca" 'loghaul test CA'
    authority "$certs/foreign" 'foreign CA'
    certificate "$certs/node" node "$certs/ca" "$node"
    certificate "$certs/admin" admin "$certs/ca" "$client"
    certificate "$certs/writer" writer "$certs/ca" "$client"
    certificate "$certs/stranger" writer "$certs/foreign" "$client"
    touch "$certs/complete"
}

# authority FILE NAME: FILE.pem and FILE.key of an authority that signs itself.
authority() {
    quietly openssl req -x509 -newkey rsa:2048 -nodes -sha256 -days 3650 -keyout "$1.key" -out "$1.pem" \
        -subj "/O=loghaul test/CN=$2" -addext basicConstraints=critical,CA:TRUE \
        -addext keyUsage=critical,keyCertSign,cRLSign
}

# certificate FILE NAME AUTHORITY EXTENSIONS: FILE.pem and FILE.key, signed by AUTHORITY.
certificate() {
    quietly openssl req -new -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.csr" -subj "/O=loghaul test/CN=$2"
    printf '%b' "$4" >"$1.ext"
    quietly openssl x509 -req -in "$1.csr" -CA "$3.pem" -CAkey "$3.key" -CAcreateserial -days 3650 -sha256 \
        -extfile "$1.ext" -out "$1.pem"
    rm "$1.csr" "$1.ext"
}

# openssl tells on standard error what it does; that is of interest only when it fails.
quietly() {
    local output
    output=$("$@" 2>&1) || die "failed: $*: $output"
}

write_authentication() {
    cat <<'YAML'
_meta: {type: config, config_version: 2}
config:
  dynamic:
    http: {anonymous_auth_enabled: false}
    authc:
      clientcert:
        http_enabled: true
        transport_enabled: false
        order: 0
        http_authenticator: {type: clientcert, challenge: false, config: {username_attribute: cn}}
        authentication_backend: {type: noop}
      basic:
        http_enabled: true
        transport_enabled: true
        order: 1
        http_authenticator: {type: basic, challenge: true}
        authentication_backend: {type: intern}
YAML
}

# The hashes are bcrypt, made by the plugin's tools/hash.sh; each password is the user's name.
write_users() {
    cat <<'YAML'
_meta: {type: internalusers, config_version: 2}
admin: {hash: "$2y$12$E367k7wEnaZQ6ghrqeqdLeF9ZEkh/Wf3dtFnRQQ9x9XbqGMnHcgay", reserved: true, backend_roles: [admin]}
writer: {hash: "$2y$12$ni/IX0UXezFiGpeLCKEUo.9KVz4eqdink14gopL968/Ux35.RQ5Ym"}
reader: {hash: "$2y$12$xN0Kx9iGm4yO124TdNHaT.B9/BRvCCgNn/Nakem6AdGKugVeCkUQe"}
YAML
}

# apache_write is the smallest role that can create apache-* indices and write to them: indices:admin/mapping/put is
# what dynamic mapping takes.
write_roles() {
    cat <<'YAML'
_meta: {type: roles, config_version: 2}
apache_write:
  cluster_permissions: ["indices:data/write/bulk"]
  index_permissions:
    - index_patterns: ["apache-*"]
      allowed_actions: ["indices:admin/create", "indices:admin/mapping/put", "indices:data/write/bulk*", "indices:data/write/index"]
apache_read:
  cluster_permissions: []
  index_permissions:
    - index_patterns: ["apache-*"]
      allowed_actions: ["read"]
YAML
}

write_role_mapping() {
    cat <<'YAML'
_meta: {type: rolesmapping, config_version: 2}
all_access: {backend_roles: [admin]}
apache_write: {users: [writer]}
apache_read: {users: [reader]}
YAML
}

describe_security() {
    say "users (password = name): admin; writer (writes apache-*); reader (reads apache-*)"
    say "certificates in $dir/conf/certs: ca.pem to trust, writer.pem + writer.key as a client, for example"
    say "  curl --cacert $dir/conf/certs/ca.pem --user admin:admin $(node_url)"
}
