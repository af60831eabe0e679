import{w as o}from"/app/chunk-RO26BZW6.js";import"/app/chunk-G746G3LE.js";export{o as askNewFolder};
