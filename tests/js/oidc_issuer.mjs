// A real issuer for tests: panva's certified OpenID provider, whose only user is whom the test says.
// Says `{"port": …}` when it listens. Arguments: where the pod's login comes back, and its secret.
// POST /control/rotate makes another key and keeps the one before; /control/user?name=… logs in.
import { createServer } from "node:http";
import { exportJWK, generateKeyPair } from "jose";
import Provider from "oidc-provider";

const [redirectUri, clientSecret] = process.argv.slice(2);
let user = { name: "ann", roles: ["agent"] };
let keys = [];
let provider;

async function anotherKey() {
  const { privateKey } = await generateKeyPair("RS256", { extractable: true });
  const kid = `key-${keys.length + 1}`;
  return { ...(await exportJWK(privateKey)), kid, alg: "RS256", use: "sig" };
}

const configuration = () => ({
  jwks: { keys },
  clients: [{
    client_id: "kotaemon",
    client_secret: clientSecret,
    redirect_uris: [redirectUri],
    response_types: ["code"],
    grant_types: ["authorization_code", "client_credentials"],
    post_logout_redirect_uris: [new URL("/", redirectUri).href],
  }],
  claims: { openid: ["sub", "roles"], profile: ["name"] },
  conformIdTokenClaims: false,
  cookies: { keys: ["a-key-for-tests-only"] },
  pkce: { required: () => true },
  ttl: { AccessToken: 600, ClientCredentials: 600, IdToken: 600, AuthorizationCode: 60,
    Interaction: 600, Session: 600, Grant: 600 },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => "https://kotaemon.example/api",
      useGrantedResource: () => false,
      getResourceServerInfo: () => ({
        scope: "kotaemon:talk", audience: "kotaemon-api", accessTokenFormat: "jwt",
        accessTokenTTL: 600, jwt: { sign: { alg: "RS256" } },
      }),
    },
  },
  extraTokenClaims: () => ({ roles: ["editor"] }),
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, roles: user.roles }) }),
  interactions: { url: (_, { uid }) => `/interaction/${uid}` },
  // Nobody asks whether the user agrees: that is the issuer's affair.
  async loadExistingGrant(ctx) {
    const { client, session } = ctx.oidc;
    const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope("openid profile");
    grant.addResourceScope("https://kotaemon.example/api", "kotaemon:talk");
    await grant.save();
    return grant;
  },
});

const server = createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url, "http://issuer");
  try {
    if (pathname === "/control/rotate") {
      keys = [await anotherKey(), ...keys];
      await begin();
      response.end();
    } else if (pathname === "/control/user") {
      user = { name: searchParams.get("name"), roles: searchParams.getAll("role") };
      response.end();
    } else if (pathname.startsWith("/interaction/")) {
      await provider.interactionFinished(request, response, { login: { accountId: user.name } });
    } else {
      provider.callback()(request, response);
    }
  } catch (error) {
    response.statusCode = 500;
    response.end(String(error));
  }
});

async function begin() {
  provider = new Provider(`http://127.0.0.1:${server.address().port}`, configuration());
}

server.listen(0, "127.0.0.1", async () => {
  keys = [await anotherKey()];
  await begin();
  console.log(JSON.stringify({ port: server.address().port }));
});
