namespace FastShare.Transport.Tests.Security;

/// <summary>Vectors of Noise_XX_25519_ChaChaPoly_SHA256. Both sets use these X25519 private keys.</summary>
internal static class NoiseVectors
{
    /// <summary>The handshake hash before the first message, with an empty prologue.</summary>
    public const string NameHash = "f3d15e6108ed9556171207baa58f97d29a13c6be40595166066e2e0958dc002d";

    public const string InitiatorStatic = "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1";

    public const string InitiatorEphemeral = "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a";

    public const string ResponderStatic = "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893";

    public const string ResponderEphemeral = "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b";

    /// <summary>
    /// The published cacophony vector: a prologue, payloads in every message, messages 4 to 6 from responder, initiator, responder.
    /// </summary>
    public static class Cacophony
    {
        public const string Prologue = "4a6f686e2047616c74";

        public const string HandshakeHash = "c8e5f64e846193be2a834104c2a009868d6c9f3bd3c186299888b488b2f1f58e";

        public static readonly string[] Payloads =
        [
            "4c756477696720766f6e204d69736573",
            "4d757272617920526f746862617264",
            "462e20412e20486179656b",
            "4361726c204d656e676572",
            "4a65616e2d426170746973746520536179",
            "457567656e2042f6686d20766f6e2042617765726b",
        ];

        public static readonly string[] Ciphertexts =
        [
            "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79444c756477696720766f6e204d69736573",
            "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f14480884381cbad1f276e038c48378ffce2b65285e08d6b68aaa3629a5a863939"
                + "2490e5b9bd5269c2f1e4f488ed8831161f19b7815528f8982ffe09be9b5c412f8a0db50f8814c7194e83f23dbd8d162c9326ad",
            "c7195ffacac1307ff99046f219750fc47693e23c3cb08b89c2af808b444850a80ae475b9df0f169ae80a89be0865b57f58c9fea0d4ec82a286427402"
                + "f113e4b6ae769a1d95941d49b25030",
            "96763ed773f8e47bb3712f0e29b3060ffc956ffc146cee53d5e1df",
            "3e40f15f6f3a46ae446b253bf8b1d9ffb6ed9b174d272328ff91a7e2e5c79c07f5",
            "eb3f3515110702e047a6c9da4478b6ead94873c11c0f2d710ddb3f09fce024b3a58502ae3f",
        ];
    }

    /// <summary>The handshake as libp2p has it: no prologue, identity payloads, both sides listing /yamux/1.0.0.</summary>
    public static class Libp2p
    {
        public const string InitiatorStaticPublic = "6bc3822a2aa7f4e6981d6538692b3cdf3e6df9eea6ed269eb41d93c22757b75a";

        public const string ResponderStaticPublic = "31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62";

        public const string ResponderPayload =
            "0a240801122003a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b812409d81d9e24c1aeb8f65ddb0c0cc4c5bfd1e693393"
            + "43da323fe9bf8e0501539a9d41081f7481ce6a24a071af825dacccdcae9d78763b528a84cc298ce591447c05220e120c2f79616d75782f312e302e30";

        public const string InitiatorPayload =
            "0a24080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e1240e292a4b36dcd264cb7933551567462bf4b6bdc79"
            + "bcc37af23ea723110cf8cfde08000f9e95441ba4fd4b82844305554004fc4be681ce33c277510b6332588c09220e120c2f79616d75782f312e302e30";

        /// <summary>With its length prefix.</summary>
        public const string Message1 = "0020ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944";

        /// <summary>With its length prefix.</summary>
        public const string Message2 =
            "00d895ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f14480884381cbad1f276e038c48378ffce2b65285e08d6b68aaa3629a5a86"
            + "39392490e5b90b20f024c6abdc05d618c61c13a3fe07127982eb5ca72a4df397da83fbc1ccd330987bb8762322b474114190c6c4b865a7a8e726f7d7"
            + "c92b581b8c8bf578184bc82688ed79129ad1e8a314f8a6931a17984cef747b6d4fae42b8c36d0e21635374117bdda2cc57c323af8ab3649a404a55cb"
            + "4116048b20b9503974a5cae505fe7ff65e88cf556e27addbb44cac4bea87ea92000a7cc0bfb1";

        /// <summary>With its length prefix.</summary>
        public const string Message3 =
            "00b8c7195ffacac1307ff99046f219750fc47693e23c3cb08b89c2af808b444850a8142e01c2a7f073b7c7c7d47f2afb69e614c3d6e0e8ecd41217dd"
            + "fdf0afb41507a1be308a2142c5bd7aa4533305677b3e694b63076f9d2df0fe4d73b419771080a6cf96b373850176596856cd9886b5ccf7b92fd0b13c"
            + "9d40153da17beeda35f1631e57da5fabbc42aaeea8ff1a68839842fe9190823c6eb044e1b00c760b0081d2628ff15e062ef3720f392c1b8495f74ace"
            + "f01106b2cd4d";

        public const string HashAfterMessage1 = "4353c8bdcd2b308bbdc80f18332315cdc636dc30a907b76758cdcb012f42977a";

        public const string HashAfterMessage2 = "2277f72b97305cb9a5279f88ff73e38eb304b238ce551c125a832287646d8678";

        public const string HandshakeHash = "4daeda882a66a1535d77255846c209291e6aab4485c53c1d3cf406d010000b1b";

        public const string KeyFromInitiator = "3062fff068d0abd171b4b4603c5b7633bf5ee4e79da311370c2eba7f1ed6c69a";

        public const string KeyFromResponder = "cbabb3f5e4529fc0e93efda9b4b70169270c04b05c5be25f71e9c55f7955c86a";

        public const string FirstFromInitiator = "000200010000000000000000";

        public const string FirstFromInitiatorSealed = "001c74279030427827de3002564f349be6cdbb6f1a9f05b60b250894a9f7";

        public const string FirstFromResponder = "000200020000000000000000";

        public const string FirstFromResponderSealed = "001cd5154cb953b58115d4145d344f4aaf20fa849fc421c17cc41a9572d3";
    }

    /// <summary>As <see cref="Cacophony"/> with AES-256-GCM; computed by independent code that reproduces that vector.</summary>
    public static class AesGcm
    {
        public const string HandshakeHash = "1b7aefb1125762aa21a252890d00af54519638b76437444538f9a52f21e2e0dc";

        public static readonly string[] Ciphertexts =
        [
            "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79444c756477696720766f6e204d69736573",
            "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843757117acceb05bd7a45733bc22015c97a9d0cbaf41b80446d5988ff5"
                + "127235d76b79eade70f473d6a4ef521fdcbeda5340d01e028ba793fc059f2724a83af05f12dda0448a7621a926b379a92477fd",
            "c90f1cf77eba4e50edb038991565e36c9758943a989229b6051244dc4fbecb6946744b401af2ee1a5881b65fbb87fd07cb6a328ececc9ce6ce84c399"
                + "dc332d4fd521fa4bb7f467ce909395",
            "bc3fa77f6aca3e8466d7dc6bea10013e88a6a29add5132b461806c",
            "250b01074cdfe0df2ecf8ccbf1737b15a2ddb5b52fd9a396604e9c793cee3b3bb9",
            "449d4d433b3cdc3d02bf6fc881774b9df54366ebcffb9689bb13f14709822cd7ef42bcdb4d",
        ];
    }

    /// <summary>As <see cref="AesGcm"/> with AEGIS-128L; computed by the same code with an AEGIS that reproduces the draft's vectors.</summary>
    public static class Aegis
    {
        public const string HandshakeHash = "4e0c6a3c281d8e6feb3024fd08f5f48586b187f3cc06b014b41540f965e1db8b";

        public static readonly string[] Ciphertexts =
        [
            "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79444c756477696720766f6e204d69736573",
            "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843fdea52425ce3510d600ed9b28485ece0fa29f261d24a540d4116feb0"
                + "ffa55a55ea9a2626b417a4bd8f08ba45a3b450d623815577658ff2d947feff9f3e62db1017024f70cfe8fac7f3486c471d1a6611d9d7ca7f73a6048b"
                + "a16080c6049faa9f2236949083e35902402763c5af8a5c",
            "b3ebc630cb50b9186d7e3e88b010948fd65f56d65c53244841d9225120e03c3045a869b4102a04c4ad9e5747c2032d66dd23f9a1b3c0004898608046"
                + "0411eb45e519a167f5d9abb4c81e59bff66168a6f4cbc94fee2199174e5f13135c451ea33ec37d96caf714ece9f10c",
            "a008bcdca838d5ba82eee62da1c46cc121b21e32779b11e1d86e0eb95dd71ae4c94c7879755a547126002f",
            "8f7218c664b7eecff18be0ca075fe70bf6af207be1e570291a03d336647a173e2e2c705b00d8365dbadc63ea1f76c4a951",
            "1ae2fc74599d6b6ea57486063641053b72fd07c24551171efd5bffaf94fae3011b87f963180cc74cb23d20c2bb86d34c7cc6765a10",
        ];
    }
}
