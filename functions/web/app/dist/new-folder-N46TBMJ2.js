import{w as o}from"/app/chunk-NKAOBTJ5.js";import"/app/chunk-SFWXO2HA.js";export{o as askNewFolder};
